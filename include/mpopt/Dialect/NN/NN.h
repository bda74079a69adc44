#ifndef MPOPT_DIALECT_NN_NN_H
#define MPOPT_DIALECT_NN_NN_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"

#include "mpopt/Dialect/NN/NNDialect.h.inc"
#include "mpopt/Dialect/NN/NNEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "mpopt/Dialect/NN/NNAttrs.h.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/NN/NNOps.h.inc"

namespace mpopt::nn {

/// Whether a value is known when the plan is made: a weight, a constant, an iota, or the result of a pure operation all of
/// whose operands are. Such values are computed once by the init program, never per step.
bool isInitTime(mlir::Value value);

/// The shape that numpy's broadcasting gives; nullopt when the shapes do not fit.
std::optional<llvm::SmallVector<int64_t>> broadcastShapes(llvm::ArrayRef<int64_t> lhs, llvm::ArrayRef<int64_t> rhs);

/// Number of elements of a result up to which folding materialises a constant that is not a splat.
inline constexpr int64_t kFoldLimit = 65536;

} // namespace mpopt::nn

#endif // MPOPT_DIALECT_NN_NN_H
