#ifndef MPOPT_LIB_MACHINE_MATMULPROBE_H
#define MPOPT_LIB_MACHINE_MATMULPROBE_H

#include <cstdint>
#include <functional>

namespace mpopt::machine {

/// A matrix product on packed panels, with the widest instructions of this host. The left matrix stays in the cache.
struct MatmulProbe {
  double flops, bytes;       ///< Of one run; bytes of the right matrix, which is read once.
  int64_t rows, cols;        ///< Tile that the registers hold.
  int64_t width;             ///< Of a vector.
  std::function<void()> run; ///< Computes it once.
};

/// A product over `depth` whose right matrix takes about `bytes`.
MatmulProbe probeMatmul(int64_t bytes, int64_t depth);

} // namespace mpopt::machine

#endif // MPOPT_LIB_MACHINE_MATMULPROBE_H
