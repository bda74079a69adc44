#include "GpuContext.h"
#include "Products.h"
#include "cuda/Libraries.h"
#include "mpopt/Machine/Gpu.h"

#include <algorithm>

namespace mpopt::machine {

using cuda::DevicePointer;

namespace {

/// Blocks of 256 threads that fill every multiprocessor.
int64_t fullGrid(const GpuContext &gpu) { return 8 * gpu.facts.units; }

Result<double> memoryBandwidth(GpuContext &gpu) {
  Result<size_t> free = gpu.freeBytes();
  if (!free)
    return tl::make_unexpected(free.error());
  size_t elements = std::min<size_t>(*free / 4, size_t(1) << 30) / 16, bytes = elements * 16;
  DevicePointer arrays[3] = {};
  for (DevicePointer &array : arrays) {
    Result<DevicePointer> pointer = gpu.allocate(bytes);
    if (!pointer)
      return tl::make_unexpected(pointer.error());
    array = *pointer;
    if (Status status = gpu.fill(array, bytes, std::vector<uint32_t>(1 << 20, 0x3f800000)); !status)
      return tl::make_unexpected(status.error());
  }
  Result<double> seconds = gpu.seconds(
      [&](int64_t) { return gpu.launch("mpopt_triad", fullGrid(gpu), {arrays[0], arrays[1], arrays[2], elements}); });
  for (DevicePointer array : arrays)
    gpu.free(array);
  return seconds.map([&](double value) { return 3.0 * double(bytes) / value; });
}

Result<double> cacheBandwidth(GpuContext &gpu) {
  constexpr uint64_t kPasses = 64;
  // A quarter: the L2 of large GPUs has halves that keep copies of each other's lines.
  size_t bytes = size_t(gpu.facts.cacheBytes) / 4 / 16 * 16;
  Result<DevicePointer> data = gpu.allocate(bytes + 16);
  if (!data)
    return tl::make_unexpected(data.error());
  if (Status status = gpu.fill(*data, bytes + 16, std::vector<uint32_t>(1 << 16, 1)); !status)
    return tl::make_unexpected(status.error());
  Result<double> seconds = gpu.seconds(
      [&](int64_t) { return gpu.launch("mpopt_read", fullGrid(gpu), {*data, bytes / 16, kPasses, *data + bytes}); });
  gpu.free(*data);
  return seconds.map([&](double value) { return double(bytes) * double(kPasses) / value; });
}

Result<double> launchSeconds(GpuContext &gpu) {
  return gpu.seconds([&](int64_t) { return gpu.launch("mpopt_nothing", gpu.facts.units, {}); });
}

Result<double> copySeconds(GpuContext &gpu, GpuContext &peer, DevicePointer from, DevicePointer to, size_t bytes) {
  return gpu.seconds([&](int64_t) {
    return gpu.check(gpu.driver.cuMemcpyPeerAsync(to, peer.context, from, gpu.context, bytes, gpu.stream),
                     "cuMemcpyPeerAsync");
  });
}

/// Copies to the next GPU; nothing on a machine with one.
Result<std::optional<PeerTiming>> measurePeer(GpuContext &gpu, int index) {
  constexpr size_t kBytes = 256 << 20;
  if (gpu.facts.gpus < 2)
    return std::nullopt;
  auto peer = GpuContext::open(gpu.driver, (index + 1) % gpu.facts.gpus);
  if (!peer)
    return tl::make_unexpected(peer.error());
  Result<DevicePointer> to = (*peer)->allocate(kBytes);
  if (!to)
    return tl::make_unexpected(to.error());
  if (Status status = gpu.use(); !status)
    return tl::make_unexpected(status.error());
  // Where there is no direct way, copies go through the host, and that is what is measured.
  gpu.driver.cuCtxEnablePeerAccess((*peer)->context, 0);
  Result<DevicePointer> from = gpu.allocate(kBytes);
  if (!from)
    return tl::make_unexpected(from.error());
  Result<double> small = copySeconds(gpu, **peer, *from, *to, 16);
  Result<double> large = small ? copySeconds(gpu, **peer, *from, *to, kBytes) : small;
  gpu.free(*from);
  if (!large)
    return tl::make_unexpected(large.error());
  return PeerTiming{*small, double(kBytes) / *large};
}

Status timeProducts(GpuContext &gpu, const cuda::CublasLt &blas, const GpuOptions &options, GpuMeasurement &result) {
  std::vector<ProductTiming> shapes = productShapes();
  auto timer = ProductTimer::create(gpu, blas, shapes);
  if (!timer)
    return tl::make_unexpected(timer.error());
  for (size_t i = 0; i < shapes.size(); ++i) {
    options.progress("matrix products, " + std::to_string(i) + " of " + std::to_string(shapes.size()));
    auto seconds = (*timer)->seconds(shapes[i]);
    if (!seconds)
      return tl::make_unexpected(seconds.error());
    if (!*seconds)
      continue;
    shapes[i].seconds = **seconds;
    result.products.push_back(shapes[i]);
  }
  if (result.products.empty())
    return error("cuBLASLt has no matrix product for GPU " + result.name + "; install a cuBLAS that supports it");
  return {};
}

Status measure(GpuContext &gpu, const cuda::CublasLt &blas, const GpuOptions &options, GpuMeasurement &result) {
  const GpuFacts &facts = gpu.facts;
  result.name = facts.name;
  result.driverVersion = facts.driverVersion;
  result.units = facts.units;
  result.memoryBytes = facts.memoryBytes;
  result.cacheBytes = facts.cacheBytes;
  result.gpus = facts.gpus;
  struct Rate {
    const char *what;
    Result<double> (*measure)(GpuContext &);
    double GpuMeasurement::*field;
  };
  for (Rate rate : {Rate{"launches", launchSeconds, &GpuMeasurement::launchSeconds},
                    Rate{"memory", memoryBandwidth, &GpuMeasurement::memoryBandwidth},
                    Rate{"cache", cacheBandwidth, &GpuMeasurement::cacheBandwidth}}) {
    options.progress(rate.what);
    Result<double> value = rate.measure(gpu);
    if (!value)
      return tl::make_unexpected(value.error());
    result.*rate.field = *value;
  }
  options.progress("copies between GPUs");
  auto peer = measurePeer(gpu, options.gpu);
  if (!peer)
    return tl::make_unexpected(peer.error());
  result.peer = *peer;
  if (Status status = gpu.use(); !status)
    return status;
  return timeProducts(gpu, blas, options, result);
}

} // namespace

Result<GpuMeasurement> measureGpu(const GpuOptions &options) {
  std::vector<std::string> folders = cuda::libraryFolders(options.libraries);
  auto driver = cuda::loadDriver(folders);
  if (!driver)
    return tl::make_unexpected(driver.error());
  auto gpu = GpuContext::open(*driver, options.gpu);
  if (!gpu)
    return tl::make_unexpected(gpu.error());
  auto blas = cuda::loadCublasLt(folders);
  if (!blas)
    return tl::make_unexpected(blas.error());
  GpuMeasurement result;
  if (Status status = measure(**gpu, *blas, options, result); !status)
    return tl::make_unexpected(status.error());
  return result;
}

} // namespace mpopt::machine
