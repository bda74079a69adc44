#ifndef MPOPT_LIB_MACHINE_MATMULPROBE_H
#define MPOPT_LIB_MACHINE_MATMULPROBE_H

#include <cstdint>
#include <functional>

namespace mpopt::machine {

/// A matrix product that stays in the cache, on packed panels, with the widest
/// instructions of this host.
struct MatmulProbe {
  double flops;              ///< Of one run.
  int64_t rows, cols;        ///< Tile that the registers hold.
  std::function<void()> run; ///< Computes it once.
};

MatmulProbe probeMatmul();

} // namespace mpopt::machine

#endif // MPOPT_LIB_MACHINE_MATMULPROBE_H
