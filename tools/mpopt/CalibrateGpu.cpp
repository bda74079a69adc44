#include "Calibrate.h"
#include "OutputFiles.h"
#include "mpopt/Cost/GpuMachine.h"

#include <cstdio>
#include <optional>

namespace mpopt {

namespace {

template <typename... Values> std::string printed(const char *format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string errorText(const cost::ProductErrors &errors) {
  return printed("mean error %.1f %%, median %.1f %%, bias %+.1f %%, of %zu", 100 * errors.mean, 100 * errors.median,
                 100 * errors.bias, errors.products);
}

std::vector<machine::ProductTiming> ofType(const std::vector<machine::ProductTiming> &products, machine::DType type) {
  std::vector<machine::ProductTiming> result;
  for (const machine::ProductTiming &product : products)
    if (product.type == type && (type != machine::DType::F32 || !product.exact))
      result.push_back(product);
  return result;
}

/// What was measured, and how well the machine file's constants explain the products' times, by type.
std::string account(const machine::Machine &machine, const std::vector<machine::ProductTiming> &products) {
  const machine::DeviceType &device = machine.device();
  std::string text = "  " + device.name + ", " + std::to_string(device.matmul.units) + " multiprocessors\n";
  text += printed("  memory           %.1f GiB at %.0f GB/s, cache %.0f MiB at %.0f GB/s, launch %.2f us\n",
                  double(device.memoryBytes) / 0x1p30, device.memoryBandwidth / 1e9, double(device.cacheBytes) / 0x1p20,
                  device.cacheBandwidth / 1e9, device.launchSeconds * 1e6);
  for (machine::DType type : machine::kDTypes) {
    std::vector<machine::ProductTiming> part = ofType(products, type);
    if (!part.empty())
      text += printed("  products %-8s%.1f Tflop/s; prices: ", std::string(name(type)).c_str(),
                      device.peak[size_t(type)] / 1e12) +
              errorText(cost::productErrors(machine, part)) + "\n";
  }
  return text;
}

Result<std::optional<machine::Machine>> loadNamed(const std::string &name) {
  if (name.empty())
    return std::nullopt;
  auto machine = machine::load(name);
  if (!machine)
    return tl::make_unexpected(machine.error());
  return std::optional(std::move(*machine));
}

} // namespace

Result<std::string> calibrateGpu(const CalibrateArguments &arguments, const std::string &path,
                                 const std::function<void(const std::string &)> &progress) {
  auto links = loadNamed(arguments.linksFrom), against = links ? loadNamed(arguments.against) : links;
  if (!against)
    return tl::make_unexpected(against.error());
  if (arguments.products == path)
    return error("--products and --output name the same file '" + path + "'; give them different names");
  auto table = openOutput(arguments.products, "--products", {});
  if (!table)
    return tl::make_unexpected(table.error());
  auto measurement = machine::measureGpu({arguments.gpu, arguments.libraries, progress});
  if (!measurement)
    return tl::make_unexpected(measurement.error());
  progress("fit of the constants");
  machine::Machine machine = cost::gpuMachine(*measurement, *links);
  if (Status written = machine::writeFile(machine, path); !written)
    return tl::make_unexpected(written.error());
  if (*table) {
    (*table)->write(machine::toCsv(measurement->products));
    if (Status status = (*table)->commit(); !status)
      return error(status.error().message + " with --products");
  }
  std::string text = "wrote " + path + "\n" + account(machine, measurement->products) + "  fitted on half   " +
                     errorText(cost::heldOutErrors(machine, measurement->products)) + " left out\n";
  if (*against)
    text += "with the constants of '" + (*against)->name + "'\n" + account(**against, measurement->products);
  return text;
}

} // namespace mpopt
