#ifndef MPOPT_LIB_MACHINE_CUDA_GPUCONTEXT_H
#define MPOPT_LIB_MACHINE_CUDA_GPUCONTEXT_H

#include "cuda/Driver.h"
#include "mpopt/Support/Result.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mpopt::machine {

/// What a GPU is known to be, without having been used.
struct GpuFacts {
  std::string name;
  int driverVersion = 0;
  int64_t units = 1;
  int64_t cacheBytes = 0;
  int64_t memoryBytes = 0;
  int gpus = 1;
};

/// One GPU in use by this thread: its primary context, a stream, the kernels of Kernels.h, and memory; all given back
/// at its end.
class GpuContext {
public:
  /// Errors: the driver sees no GPU, or none of that number; what a call to the driver failed with.
  static Result<std::unique_ptr<GpuContext>> open(const cuda::Driver &driver, int gpu);
  ~GpuContext();
  GpuContext(const GpuContext &) = delete;
  GpuContext &operator=(const GpuContext &) = delete;

  /// Makes this GPU the one that calls of this thread go to, as open() does.
  Status use() const { return check(driver.cuCtxSetCurrent(context), "cuCtxSetCurrent"); }

  Result<cuda::DevicePointer> allocate(size_t bytes);
  void free(cuda::DevicePointer pointer);
  Result<size_t> freeBytes() const;

  /// `words` (at most 64 MiB), again and again from `to` on for `bytes`.
  Status fill(cuda::DevicePointer to, size_t bytes, const std::vector<uint32_t> &words);

  /// Queues a kernel of Kernels.h over `blocks` blocks of 256 threads.
  Status launch(const char *kernel, int64_t blocks, std::vector<uint64_t> arguments);

  /// What is queued and timed: run i of a series.
  using Body = std::function<Status(int64_t i)>;

  /// Seconds of one run: the median of three series, each of as many runs, up to 200, as take `window` seconds. A series
  /// queues up behind a kernel that waits, so that the host's part in starting it is not counted.
  Result<double> seconds(const Body &body, double window = 0.01);

  /// The failure of a call to the driver, or success.
  Status check(cuda::DriverResult result, const std::string &what) const;

  const cuda::Driver driver;
  GpuFacts facts;
  cuda::Context context = nullptr;
  cuda::Stream stream = nullptr;

private:
  explicit GpuContext(const cuda::Driver &driver) : driver(driver) {}
  Status start(int gpu);
  Status describe(int gpu);
  Result<double> series(const Body &body, int64_t first, int64_t count, double waitSeconds);

  int gpu = 0;
  cuda::Device device = 0;
  cuda::Module module = nullptr;
  cuda::Event begin = nullptr, end = nullptr;
  std::vector<cuda::DevicePointer> allocations;
};

} // namespace mpopt::machine

#endif // MPOPT_LIB_MACHINE_CUDA_GPUCONTEXT_H
