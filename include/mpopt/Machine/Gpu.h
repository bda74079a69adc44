#ifndef MPOPT_MACHINE_GPU_H
#define MPOPT_MACHINE_GPU_H

#include "mpopt/Machine/DType.h"
#include "mpopt/Support/Result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mpopt::machine {

/// A batch of products of row-major m x k by k x n matrices, and how long one takes with its operands in memory, not in
/// the cache.
struct ProductTiming {
  DType type = DType::F32;
  bool exact = true; ///< For F32: true arithmetic in 32 bits, not TF32.
  int64_t batch = 1;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  double seconds = 0;

  double flops() const { return 2.0 * double(batch) * double(m) * double(n) * double(k); }
  /// Each operand read once and the result written once; the result of F8 has 16 bits, that of I8 32.
  double bytes() const;
  /// Whether all rows begin at multiples of 16 bytes, as full-width loads need.
  bool aligned() const;
};

/// Copies between two GPUs.
struct PeerTiming {
  double latencySeconds = 0;
  double bandwidth = 0; ///< B/s, one direction.
};

/// What was measured on one GPU.
struct GpuMeasurement {
  std::string name;
  int driverVersion = 0; ///< Of CUDA that the driver offers, as 1000 major + 10 minor.
  int64_t units = 1;     ///< Multiprocessors.
  int64_t memoryBytes = 0;
  int64_t cacheBytes = 0;
  double memoryBandwidth = 0; ///< B/s of a triad.
  double cacheBandwidth = 0;  ///< B/s of reading a quarter of the L2 again and again.
  double launchSeconds = 0;   ///< From one empty kernel to the next of a full queue.
  int64_t gpus = 1;           ///< That this machine has.
  std::optional<PeerTiming> peer;
  std::vector<ProductTiming> products; ///< In the order of productShapes().
};

struct GpuOptions {
  int gpu = 0;           ///< In the driver's order.
  std::string libraries; ///< Folder to look into first for CUDA's libraries; may be empty.
  std::function<void(const std::string &)> progress = [](const std::string &) {};
};

/// Measures a GPU in about half a minute. CUDA's libraries are loaded at run time. Errors say what is missing and how to
/// get it: driver, GPU, cuBLASLt, memory.
Result<GpuMeasurement> measureGpu(const GpuOptions &options);

/// The products to time, their seconds unset: those of transformers from 768 to 12,288 wide on 1 to 16,384 tokens,
/// forward and weight gradients, slices of tensor parallelism, shallow depths, attention in batches, ragged sizes. In
/// 16-bit floats all of them, in other types a part.
std::vector<ProductTiming> productShapes();

/// CSV with the columns type, batch, m, n, k, seconds (f32 for TF32, "f32x" for exact arithmetic), and back. Errors
/// name origin and line.
std::string toCsv(const std::vector<ProductTiming> &products);
Result<std::vector<ProductTiming>> parseProducts(const std::string &csv, const std::string &origin);

} // namespace mpopt::machine

#endif // MPOPT_MACHINE_GPU_H
