#include "mpopt/Cost/GpuMachine.h"
#include "mpopt/Machine/Calibrate.h"

#include <algorithm>
#include <limits>

namespace mpopt::cost {

using machine::DeviceType;
using machine::DType;
using machine::GpuMeasurement;
using machine::Link;
using machine::Machine;
using machine::ProductTiming;
using machine::rounded;

namespace {

/// Tiles of the kernels that libraries choose from, largest first; how well each runs is fitted.
const std::vector<machine::Tile> kTiles = {{256, 128}, {128, 128}, {128, 64}, {64, 64}};

double bestRate(const std::vector<ProductTiming> &products, DType type, bool exact) {
  double best = 0;
  for (const ProductTiming &product : products)
    if (product.type == type && product.exact == exact)
      best = std::max(best, product.flops() / product.seconds);
  return rounded(best);
}

DeviceType deviceOf(const GpuMeasurement &measured) {
  DeviceType device;
  device.name = measured.name;
  device.memoryBytes = measured.memoryBytes;
  device.memoryBandwidth = rounded(measured.memoryBandwidth);
  device.cacheBytes = measured.cacheBytes;
  device.cacheBandwidth = rounded(std::max(measured.cacheBandwidth, measured.memoryBandwidth));
  device.launchSeconds = rounded(measured.launchSeconds);
  for (DType type : machine::kDTypes)
    device.peak[size_t(type)] = bestRate(measured.products, type, type != DType::F32);
  // A GPU without TF32 has only the exact rate.
  double exact = bestRate(measured.products, DType::F32, true);
  device.peak[size_t(DType::F32)] = std::max(device.peak[size_t(DType::F32)], exact);
  device.vectorFlops = exact > 0 ? exact : device.peak[size_t(DType::F32)];
  device.matmul.units = measured.units;
  device.matmul.tiles = kTiles;
  return device;
}

/// Products in the narrowest type that training uses here, whose constants all types share.
std::vector<ProductTiming> fitted(std::span<const ProductTiming> products) {
  for (DType type : {DType::BF16, DType::F16, DType::F32}) {
    std::vector<ProductTiming> result;
    std::copy_if(products.begin(), products.end(), std::back_inserter(result),
                 [&](const ProductTiming &product) { return product.type == type; });
    if (!result.empty())
      return result;
  }
  return {};
}

void setConstants(Machine &machine, const ProductConstants &constants) {
  DeviceType &device = machine.devices[machine.groups.front().device];
  device.launchSeconds = constants.launchSeconds;
  device.matmul = constants.matmul;
}

std::vector<Link> linksOf(const GpuMeasurement &measured, const std::optional<Machine> &given) {
  std::vector<Link> links = given ? given->links : std::vector<Link>{Link{"none", 1, 1e-6, measured.memoryBandwidth}};
  if (!measured.peer)
    return links;
  Link &inner = links.front();
  if (!given)
    inner.name = "peer copies";
  inner.count = measured.gpus;
  inner.latencySeconds = rounded(measured.peer->latencySeconds);
  inner.bandwidth = rounded(measured.peer->bandwidth);
  return links;
}

std::string noteOf(const GpuMeasurement &measured, const std::optional<Machine> &links) {
  std::string version =
      std::to_string(measured.driverVersion / 1000) + "." + std::to_string(measured.driverVersion % 1000 / 10);
  std::string note = "measured on one " + measured.name + " (driver of CUDA " + version + ") by mpopt calibrate";
  if (!measured.peer && !links)
    return note + "; no links";
  std::string from = links ? "those of machine '" + links->name + "'" : "";
  if (measured.peer)
    return note + "; links between GPUs measured" + (links ? ", others " + from : "");
  return note + "; links are " + from;
}

} // namespace

Machine gpuMachine(const GpuMeasurement &measurement, const std::optional<Machine> &links) {
  Machine machine;
  machine.name = "cuda";
  machine.note = noteOf(measurement, links);
  machine.devices = {deviceOf(measurement)};
  machine.links = linksOf(measurement, links);
  machine.groups.push_back({0, std::numeric_limits<int64_t>::max()});
  setConstants(machine, fitProducts(machine, fitted(measurement.products)));
  return machine;
}

ProductErrors heldOutErrors(const Machine &machine, std::span<const ProductTiming> products) {
  std::vector<ProductTiming> all = fitted(products), parts[2];
  for (size_t i = 0; i < all.size(); ++i)
    parts[i % 2].push_back(all[i]);
  Machine half = machine;
  setConstants(half, fitProducts(machine, parts[0]));
  return productErrors(half, parts[1]);
}

} // namespace mpopt::cost
