// A libcuda.so.1 without a GPU: the entry points that the driver's symbol table loads, on a simulated clock.
#include "FakeDriver.h"
#include "cuda/Driver.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>

namespace mpopt::fake {
bool chosen(const char *name) {
  const char *value = std::getenv("MPOPT_FAKE_CUDA");
  return value && std::string(value) == name;
}
} // namespace mpopt::fake

using namespace mpopt;

namespace {

constexpr size_t kMemoryBytes = size_t(8) << 30, kCacheBytes = 32 << 20;

double now = 0; ///< Seconds of the simulated clock.
size_t usedBytes = 0;
cuda::DevicePointer nextAddress = 1 << 20;
std::map<cuda::DevicePointer, size_t> allocations;

/// Kernels are known by a number.
constexpr const char *kNames[] = {"mpopt_nothing", "mpopt_wait", "mpopt_triad", "mpopt_read"};

uint64_t argument(void **arguments, int index) { return *static_cast<uint64_t *>(arguments[index]); }

double kernelSeconds(size_t kernel, void **arguments) {
  switch (kernel) {
  case 1:
    return double(argument(arguments, 0)) * 1e-9;
  case 2:
    return 3 * 16 * double(argument(arguments, 3)) / fake::kMemoryBandwidth;
  case 3:
    return 16 * double(argument(arguments, 1)) * double(argument(arguments, 2)) / fake::kCacheBandwidth;
  default:
    return 0;
  }
}

} // namespace

extern "C" void fakeCudaWork(double seconds) { now += fake::kLaunchSeconds + seconds; }

namespace mpopt::cuda {
extern "C" {

DriverResult cuInit(unsigned) { return fake::chosen("no-device") ? kNoDevice : kSuccess; }

DriverResult cuDriverGetVersion(int *version) {
  *version = 12040;
  return kSuccess;
}

DriverResult cuGetErrorString(DriverResult, const char **text) {
  *text = "a fake failure";
  return kSuccess;
}

DriverResult cuDeviceGetCount(int *count) {
  *count = fake::chosen("two-gpus") ? 2 : 1;
  return kSuccess;
}

DriverResult cuDeviceGet(Device *device, int ordinal) {
  *device = ordinal;
  return kSuccess;
}

DriverResult cuDeviceGetName(char *name, int size, Device) {
  std::snprintf(name, size_t(size), "Fake GPU");
  return kSuccess;
}

DriverResult cuDeviceTotalMem_v2(size_t *bytes, Device) {
  *bytes = kMemoryBytes;
  return kSuccess;
}

DriverResult cuDeviceGetAttribute(int *value, DeviceAttribute attribute, Device) {
  *value = attribute == DeviceAttribute::MultiprocessorCount ? fake::kUnits : int(kCacheBytes);
  return kSuccess;
}

DriverResult cuDevicePrimaryCtxRetain(Context *context, Device device) {
  *context = reinterpret_cast<Context>(uintptr_t(device) + 1);
  return kSuccess;
}

DriverResult cuDevicePrimaryCtxRelease_v2(Device) { return kSuccess; }
DriverResult cuCtxSetCurrent(Context) { return kSuccess; }
DriverResult cuCtxEnablePeerAccess(Context, unsigned) { return kSuccess; }

DriverResult cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = kMemoryBytes - usedBytes;
  *total = kMemoryBytes;
  return kSuccess;
}

DriverResult cuMemAlloc_v2(DevicePointer *pointer, size_t bytes) {
  if (fake::chosen("full-memory") || usedBytes + bytes > kMemoryBytes)
    return kOutOfMemory;
  usedBytes += bytes;
  *pointer = nextAddress;
  allocations[nextAddress] = bytes;
  nextAddress += bytes + 256;
  return kSuccess;
}

DriverResult cuMemFree_v2(DevicePointer pointer) {
  auto found = allocations.find(pointer);
  if (found == allocations.end())
    return DriverResult(1);
  usedBytes -= found->second;
  allocations.erase(found);
  return kSuccess;
}

DriverResult cuMemcpyHtoD_v2(DevicePointer, const void *, size_t) { return kSuccess; }
DriverResult cuMemcpyDtoDAsync_v2(DevicePointer, DevicePointer, size_t, Stream) { return kSuccess; }

DriverResult cuMemcpyPeerAsync(DevicePointer, Context to, DevicePointer, Context from, size_t bytes, Stream) {
  now += fake::kPeerLatency + double(bytes) / fake::kPeerBandwidth;
  return to == from ? DriverResult(1) : kSuccess;
}

DriverResult cuStreamCreate(Stream *stream, unsigned) {
  *stream = reinterpret_cast<Stream>(&now);
  return kSuccess;
}

DriverResult cuStreamDestroy_v2(Stream) { return kSuccess; }
DriverResult cuStreamSynchronize(Stream) { return kSuccess; }

DriverResult cuEventCreate(Event *event, unsigned) {
  *event = reinterpret_cast<Event>(new double(0));
  return kSuccess;
}

DriverResult cuEventDestroy_v2(Event event) {
  delete reinterpret_cast<double *>(event);
  return kSuccess;
}

DriverResult cuEventRecord(Event event, Stream) {
  *reinterpret_cast<double *>(event) = now;
  return kSuccess;
}

DriverResult cuEventSynchronize(Event) { return kSuccess; }

DriverResult cuEventElapsedTime(float *milliseconds, Event start, Event end) {
  *milliseconds = float(1e3 * (*reinterpret_cast<double *>(end) - *reinterpret_cast<double *>(start)));
  return kSuccess;
}

DriverResult cuModuleLoadData(Module *module, const void *image) {
  *module = reinterpret_cast<Module>(&now);
  return std::strstr(static_cast<const char *>(image), ".entry mpopt_triad") ? kSuccess : DriverResult(218);
}

DriverResult cuModuleUnload(Module) { return kSuccess; }

DriverResult cuModuleGetFunction(Function *function, Module, const char *name) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (std::string(name) == kNames[i])
      return *function = reinterpret_cast<Function>(i + 1), kSuccess;
  return DriverResult(500);
}

DriverResult cuLaunchKernel(Function function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                            Stream, void **arguments, void **) {
  fakeCudaWork(kernelSeconds(reinterpret_cast<size_t>(function) - 1, arguments));
  return fake::chosen("broken-kernel") ? DriverResult(700) : kSuccess;
}

} // extern "C"

#define MPOPT_SAME_TYPE(symbol, parameters)                                                                            \
  static_assert(std::is_same_v<decltype(&symbol), decltype(Driver::symbol)>, #symbol);
MPOPT_CUDA_DRIVER_SYMBOLS(MPOPT_SAME_TYPE)

} // namespace mpopt::cuda
