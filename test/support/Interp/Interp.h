#ifndef MPOPT_TEST_SUPPORT_INTERP_INTERP_H
#define MPOPT_TEST_SUPPORT_INTERP_INTERP_H

#include "Tensor.h"
#include "mlir/IR/BuiltinOps.h"

namespace mpopt::interp {

struct Options {
  /// Floats keep double precision, so that programs that sum in another order still agree closely.
  bool keepDoubles = false;
};

using Tensors = std::vector<Tensor>;

/// Computes one `nn` operation. Failure (with a diagnostic) when it is not one.
mlir::FailureOr<Tensors> evaluate(mlir::Operation *op, llvm::ArrayRef<const Tensor *> operands, Options options = {});

/// Runs @main of a module of `nn` operations. Values of nn.weight follow from the weight's name. Failure, with a diagnostic,
/// when the module holds something else or the inputs do not fit.
mlir::FailureOr<Tensors> interpret(mlir::ModuleOp module, llvm::ArrayRef<Tensor> inputs, Options options = {});

/// Runs @main of a partitioned module (`nn` and `coll` on local shapes) on all devices of its mesh in lock step. Inputs and
/// outputs are global: inputs are cut as the arguments' shd.sharding says, with poison (NaN, large integers) as padding; outputs
/// are joined, and it is an error when devices that should hold the same hold different values.
mlir::FailureOr<Tensors> interpretPartitioned(mlir::ModuleOp module, llvm::ArrayRef<Tensor> inputs,
                                              Options options = {});

} // namespace mpopt::interp

#endif // MPOPT_TEST_SUPPORT_INTERP_INTERP_H
