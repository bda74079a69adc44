#ifndef MPOPT_COST_COST_H
#define MPOPT_COST_COST_H

#include "mpopt/Machine/Machine.h"
#include "mpopt/Machine/Mesh.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mpopt::cost {

/// A batch of independent products of an m x k by a k x n matrix.
struct Matmul {
  machine::DType type = machine::DType::F32;
  int64_t batch = 1;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool isAttention = false; ///< Both products of attention, with the softmax between them.
};

/// What one operator does on one device.
struct OpCost {
  std::vector<Matmul> matmuls; ///< Convolutions too, as implicit matrix products.
  double vectorFlops = 0;      ///< Arithmetic outside matmuls.
  double bytesRead = 0;        ///< Operands of the matmuls included.
  double bytesCold = 0;        ///< Those of bytesRead that no cache holds from an earlier step: weights.
  double bytesShared = 0;      ///< Those of bytesRead that only the cache holds which the host's cores share.
  double bytesWritten = 0;
  int64_t launches = 1;
};

/// Seconds of arithmetic of one product, launch and memory traffic apart. For
/// each tile (tm, tn, e) of the device
///   waves * units * tm * tn * 2 * (k + smallK) / (peak * efficiency * e),
///   waves = ceil(tiles / units),
/// and the best of them: tile and wave quantisation with a small-K penalty, as
/// GEMM(M,N,K) of studies on published training runs fits it. 0 for an empty
/// product.
double matmulSeconds(const machine::Machine &machine, machine::DType type, int64_t batch, int64_t m, int64_t n,
                     int64_t k);

/// Seconds to stream `bytes`: what fits the cache at the cache's rate, the rest
/// at the memory's.
double memorySeconds(const machine::Machine &machine, double bytes);

/// The share of a model's weights, `weightBytes` in all, that the cache which a host's cores share still holds from the step before: what fits.
double heldShare(const machine::Machine &machine, double weightBytes);

/// Seconds to start `launches` kernels.
double launchSeconds(const machine::Machine &machine, int64_t launches);

/// The parts that an operator's time is made of, in seconds.
struct OpTimes {
  double launch = 0, arithmetic = 0, traffic = 0;
};

OpTimes opTimes(const machine::Machine &machine, const OpCost &op);

/// What the shorter of arithmetic and traffic adds to the longer: the share that the device does not overlap (DeviceType::overlap).
double exposedSeconds(const machine::Machine &machine, const OpTimes &times);

/// launches + max(arithmetic, traffic) + exposedSeconds: a roofline where the device overlaps all.
double opSeconds(const machine::Machine &machine, const OpCost &op);

} // namespace mpopt::cost

#endif // MPOPT_COST_COST_H
