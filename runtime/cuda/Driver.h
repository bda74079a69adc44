#ifndef MPOPT_RUNTIME_CUDA_DRIVER_H
#define MPOPT_RUNTIME_CUDA_DRIVER_H

#include <cstddef>
#include <cstdint>

/// What of CUDA's driver (libcuda.so.1) is used, declared here so that neither building nor linking needs CUDA. Names,
/// values and layouts are those of NVIDIA's cuda.h; symbols keep the suffix under which the driver exports them, which
/// fixes their form.
namespace mpopt::cuda {

using Device = int;
using DevicePointer = unsigned long long;
using Context = struct ContextTag *;
using Stream = struct StreamTag *;
using Event = struct EventTag *;
using Module = struct ModuleTag *;
using Function = struct FunctionTag *;

/// Results that are told apart; all others are failures with a text from cuGetErrorString.
enum DriverResult : int { kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100 };

enum class DeviceAttribute : int {
  MultiprocessorCount = 16,
  L2CacheSize = 38,
};

/// X(symbol, parameters); every one returns a DriverResult.
#define MPOPT_CUDA_DRIVER_SYMBOLS(X)                                                                                   \
  X(cuInit, (unsigned flags))                                                                                          \
  X(cuDriverGetVersion, (int *version))                                                                                \
  X(cuGetErrorString, (DriverResult result, const char **text))                                                        \
  X(cuDeviceGetCount, (int *count))                                                                                    \
  X(cuDeviceGet, (Device * device, int ordinal))                                                                       \
  X(cuDeviceGetName, (char *name, int size, Device device))                                                            \
  X(cuDeviceTotalMem_v2, (size_t *bytes, Device device))                                                               \
  X(cuDeviceGetAttribute, (int *value, DeviceAttribute attribute, Device device))                                      \
  X(cuDevicePrimaryCtxRetain, (Context * context, Device device))                                                      \
  X(cuDevicePrimaryCtxRelease_v2, (Device device))                                                                     \
  X(cuCtxSetCurrent, (Context context))                                                                                \
  X(cuCtxEnablePeerAccess, (Context peer, unsigned flags))                                                             \
  X(cuMemGetInfo_v2, (size_t *free, size_t *total))                                                                    \
  X(cuMemAlloc_v2, (DevicePointer * pointer, size_t bytes))                                                            \
  X(cuMemFree_v2, (DevicePointer pointer))                                                                             \
  X(cuMemcpyHtoD_v2, (DevicePointer to, const void *from, size_t bytes))                                               \
  X(cuMemcpyDtoDAsync_v2, (DevicePointer to, DevicePointer from, size_t bytes, Stream stream))                         \
  X(cuMemcpyPeerAsync,                                                                                                 \
    (DevicePointer to, Context toContext, DevicePointer from, Context fromContext, size_t bytes, Stream stream))       \
  X(cuStreamCreate, (Stream * stream, unsigned flags))                                                                 \
  X(cuStreamDestroy_v2, (Stream stream))                                                                               \
  X(cuStreamSynchronize, (Stream stream))                                                                              \
  X(cuEventCreate, (Event * event, unsigned flags))                                                                    \
  X(cuEventDestroy_v2, (Event event))                                                                                  \
  X(cuEventRecord, (Event event, Stream stream))                                                                       \
  X(cuEventSynchronize, (Event event))                                                                                 \
  X(cuEventElapsedTime, (float *milliseconds, Event start, Event end))                                                 \
  X(cuModuleLoadData, (Module * module, const void *image))                                                            \
  X(cuModuleUnload, (Module module))                                                                                   \
  X(cuModuleGetFunction, (Function * function, Module module, const char *name))                                       \
  X(cuLaunchKernel,                                                                                                    \
    (Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,              \
     unsigned blockZ, unsigned sharedBytes, Stream stream, void **arguments, void **extra))

/// The driver's entry points; filled by loadDriver().
struct Driver {
#define MPOPT_CUDA_FIELD(symbol, parameters) DriverResult(*symbol) parameters = nullptr;
  MPOPT_CUDA_DRIVER_SYMBOLS(MPOPT_CUDA_FIELD)
#undef MPOPT_CUDA_FIELD
};

} // namespace mpopt::cuda

#endif // MPOPT_RUNTIME_CUDA_DRIVER_H
