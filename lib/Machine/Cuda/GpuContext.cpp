#include "GpuContext.h"
#include "Kernels.h"

#include <algorithm>

namespace mpopt::machine {

using cuda::DeviceAttribute;
using cuda::DevicePointer;
using cuda::DriverResult;

Status GpuContext::check(DriverResult result, const std::string &what) const {
  if (result == cuda::kSuccess)
    return {};
  const char *text = nullptr;
  driver.cuGetErrorString(result, &text);
  return error("GPU " + std::to_string(gpu) + ": " + what + " failed: " + (text ? text : "unknown error") + " (" +
               std::to_string(int(result)) + ")");
}

Result<std::unique_ptr<GpuContext>> GpuContext::open(const cuda::Driver &driver, int gpu) {
  std::unique_ptr<GpuContext> context(new GpuContext(driver));
  if (Status status = context->start(gpu); !status)
    return tl::make_unexpected(status.error());
  return context;
}

Status GpuContext::describe(int index) {
  gpu = index;
  DriverResult result = driver.cuInit(0);
  if (result == cuda::kNoDevice ||
      (result == cuda::kSuccess && driver.cuDeviceGetCount(&facts.gpus) == 0 && !facts.gpus))
    return error("NVIDIA's driver sees no GPU; check that nvidia-smi lists one and that CUDA_VISIBLE_DEVICES does not "
                 "hide it");
  if (Status status = check(result, "cuInit"); !status)
    return status;
  if (gpu < 0 || gpu >= facts.gpus)
    return error("--gpu " + std::to_string(gpu) + ": this machine has " + std::to_string(facts.gpus) +
                 " GPU(s), numbered from 0");
  char name[256] = "";
  size_t bytes = 0;
  int units = 1, cache = 0;
  for (Status status :
       {check(driver.cuDriverGetVersion(&facts.driverVersion), "cuDriverGetVersion"),
        check(driver.cuDeviceGet(&device, gpu), "cuDeviceGet"),
        check(driver.cuDeviceGetName(name, sizeof name, device), "cuDeviceGetName"),
        check(driver.cuDeviceTotalMem_v2(&bytes, device), "cuDeviceTotalMem"),
        check(driver.cuDeviceGetAttribute(&units, DeviceAttribute::MultiprocessorCount, device),
              "cuDeviceGetAttribute"),
        check(driver.cuDeviceGetAttribute(&cache, DeviceAttribute::L2CacheSize, device), "cuDeviceGetAttribute")})
    if (!status)
      return status;
  facts = {name, facts.driverVersion, units, cache, int64_t(bytes), facts.gpus};
  return {};
}

Status GpuContext::start(int index) {
  if (Status status = describe(index); !status)
    return status;
  // cuBLASLt uses the primary context, so all do.
  if (Status status = check(driver.cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain"); !status)
    return status;
  for (Status status :
       {use(), check(driver.cuStreamCreate(&stream, 0), "cuStreamCreate"),
        check(driver.cuEventCreate(&begin, 0), "cuEventCreate"), check(driver.cuEventCreate(&end, 0), "cuEventCreate"),
        check(driver.cuModuleLoadData(&module, kKernels), "cuModuleLoadData")})
    if (!status)
      return status;
  return {};
}

GpuContext::~GpuContext() {
  if (context)
    driver.cuCtxSetCurrent(context);
  if (stream)
    driver.cuStreamSynchronize(stream);
  for (DevicePointer pointer : allocations)
    driver.cuMemFree_v2(pointer);
  if (module)
    driver.cuModuleUnload(module);
  for (cuda::Event event : {begin, end})
    if (event)
      driver.cuEventDestroy_v2(event);
  if (stream)
    driver.cuStreamDestroy_v2(stream);
  if (context)
    driver.cuDevicePrimaryCtxRelease_v2(device);
}

Result<DevicePointer> GpuContext::allocate(size_t bytes) {
  DevicePointer pointer = 0;
  DriverResult result = driver.cuMemAlloc_v2(&pointer, bytes);
  if (result == cuda::kOutOfMemory)
    return error("GPU " + std::to_string(gpu) + " has no " + std::to_string(bytes >> 20) +
                 " MiB of memory left; end other programs that use it");
  if (Status status = check(result, "cuMemAlloc"); !status)
    return tl::make_unexpected(status.error());
  allocations.push_back(pointer);
  return pointer;
}

void GpuContext::free(DevicePointer pointer) {
  driver.cuMemFree_v2(pointer);
  std::erase(allocations, pointer);
}

Result<size_t> GpuContext::freeBytes() const {
  size_t free = 0, total = 0;
  if (Status status = check(driver.cuMemGetInfo_v2(&free, &total), "cuMemGetInfo"); !status)
    return tl::make_unexpected(status.error());
  return free;
}

Status GpuContext::fill(DevicePointer to, size_t bytes, const std::vector<uint32_t> &words) {
  size_t whole = std::min(bytes, words.size() * 4);
  if (Status status = check(driver.cuMemcpyHtoD_v2(to, words.data(), whole), "cuMemcpyHtoD"); !status)
    return status;
  // Doubling what is there takes few copies.
  for (size_t done = whole; done < bytes;) {
    size_t part = std::min(done, bytes - done);
    if (Status status = check(driver.cuMemcpyDtoDAsync_v2(to + done, to, part, stream), "cuMemcpyDtoDAsync"); !status)
      return status;
    done += part;
  }
  return check(driver.cuStreamSynchronize(stream), "cuStreamSynchronize");
}

Status GpuContext::launch(const char *kernel, int64_t blocks, std::vector<uint64_t> arguments) {
  cuda::Function function = nullptr;
  if (Status status = check(driver.cuModuleGetFunction(&function, module, kernel), kernel); !status)
    return status;
  std::vector<void *> pointers;
  for (uint64_t &argument : arguments)
    pointers.push_back(&argument);
  return check(driver.cuLaunchKernel(function, unsigned(blocks), 1, 1, 256, 1, 1, 0, stream, pointers.data(), nullptr),
               kernel);
}

Result<double> GpuContext::series(const Body &body, int64_t first, int64_t count, double waitSeconds) {
  Status status = launch("mpopt_wait", 1, {uint64_t(waitSeconds * 1e9)});
  if (status)
    status = check(driver.cuEventRecord(begin, stream), "cuEventRecord");
  for (int64_t i = 0; status && i < count; ++i)
    status = body(first + i);
  if (status)
    status = check(driver.cuEventRecord(end, stream), "cuEventRecord");
  if (status)
    status = check(driver.cuEventSynchronize(end), "cuEventSynchronize");
  float milliseconds = 0;
  if (status)
    status = check(driver.cuEventElapsedTime(&milliseconds, begin, end), "cuEventElapsedTime");
  if (!status)
    return tl::make_unexpected(status.error());
  return std::max(double(milliseconds) * 1e-3, 1e-9) / double(count);
}

Result<double> GpuContext::seconds(const Body &body, double window) {
  // The first run also loads code; of the second, the host's part may be the longer one.
  for (int i = 0; i < 2; ++i)
    if (Result<double> warm = series(body, i, 1, 0); !warm)
      return warm;
  Result<double> estimate = series(body, 2, 4, 2e-4);
  if (!estimate)
    return estimate;
  int64_t count = std::clamp<int64_t>(int64_t(window / *estimate), 1, 200), done = 6;
  std::vector<double> series;
  for (int i = 0; i < 3; ++i, done += count) {
    Result<double> seconds = this->series(body, done, count, 1e-4 + 1e-5 * double(count));
    if (!seconds)
      return seconds;
    series.push_back(*seconds);
  }
  std::sort(series.begin(), series.end());
  return series[1];
}

} // namespace mpopt::machine
