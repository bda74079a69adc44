#ifndef MPOPT_COST_GPUMACHINE_H
#define MPOPT_COST_GPUMACHINE_H

#include "mpopt/Machine/Gpu.h"
#include "mpopt/Machine/Machine.h"

#include <optional>
#include <span>
#include <vector>

namespace mpopt::cost {

/// Seconds of a product whose operands come from memory: launch + max(matmulSeconds(), bytes / memory bandwidth).
double coldProductSeconds(const machine::Machine &machine, const machine::ProductTiming &product);

/// How a machine's prices of measured products differ from their times, as shares of these.
struct ProductErrors {
  size_t products = 0;
  double mean = 0;   ///< Of the absolute errors.
  double median = 0; ///< Of the absolute errors.
  double bias = 0;   ///< Mean error; positive where prices are too high.
};

/// Of the products that machine files speak of: of F32 those in TF32, and none with unaligned rows.
ProductErrors productErrors(const machine::Machine &machine, std::span<const machine::ProductTiming> products);

struct ProductConstants {
  double launchSeconds = 0;
  machine::MatmulModel matmul;
};

/// The best constants of coldProductSeconds() for measured products, given the machine's peaks and bandwidth and the
/// number of units and the tiles of its model: the launch (from that of the machine, an empty kernel's, upwards: a
/// product also waits for its first operands), efficiency, small_k and each tile's efficiency, the first being 1, none
/// above it. Least mean of sqrt(1 + (e/0.05)^2), e the logarithm of predicted over measured: like squares for small
/// errors, like absolute values for those of products that no constants explain. Found by a pattern search from several
/// depths; the same for the same input. Products as productErrors() takes them.
ProductConstants fitProducts(const machine::Machine &machine, std::span<const machine::ProductTiming> products);

/// The machine file of a measured GPU: peaks are the best measured rates by type (of F32 that of TF32, exact
/// arithmetic in 32 bits being the rate outside matrix kernels), the constants of the products fitted to those in 16-bit
/// floats. Links are those of `links`, the innermost with the measured copies and number of GPUs where there are any;
/// without `links` and with one GPU a single level of one device.
machine::Machine gpuMachine(const machine::GpuMeasurement &measurement, const std::optional<machine::Machine> &links);

/// Errors on every other product of constants fitted to those between, both in the type that gpuMachine() fits.
ProductErrors heldOutErrors(const machine::Machine &machine, std::span<const machine::ProductTiming> products);

} // namespace mpopt::cost

#endif // MPOPT_COST_GPUMACHINE_H
