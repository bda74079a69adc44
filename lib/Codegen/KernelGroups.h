#ifndef MPOPT_LIB_CODEGEN_KERNELGROUPS_H
#define MPOPT_LIB_CODEGEN_KERNELGROUPS_H

#include "mpopt/Codegen/Codegen.h"
#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::codegen {

/// Operators that become one kernel, or one operator that stays.
struct KernelGroup {
  llvm::SmallVector<mlir::Operation *> ops; ///< in program order
  /// The operator that decides the loops; the first one of several by rows; null if all are light.
  mlir::Operation *anchor = nullptr;
  bool stays = false;  ///< in @main
  bool init = false;   ///< known at load time
  bool closed = false; ///< nothing may be appended
};

/// Operators that no kernel computes, or that every kernel repeats.
bool staysInMain(mlir::Operation *op);
/// Constants of one repeated element and iotas: kernels hold their own copies.
bool isRematerialized(mlir::Operation *op);
/// Whether the kernel of the operand's user holds its own copy of it: not where the user reads memory only.
bool isRematerialized(mlir::OpOperand &use);

/// Partitions the operators of `block` (but its terminator) into groups, in an order in which they can run.
std::vector<KernelGroup> formGroups(mlir::Block &block, const CpuTarget &target);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_KERNELGROUPS_H
