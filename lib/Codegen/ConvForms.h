#ifndef MPOPT_LIB_CODEGEN_CONVFORMS_H
#define MPOPT_LIB_CODEGEN_CONVFORMS_H

#include "mpopt/Codegen/Codegen.h"
#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::codegen {

/// `value` with result dimension i being dimension order[i]: a reshape where only dimensions of size 1 move, a constant of a constant.
mlir::Value transposed(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value, llvm::ArrayRef<int64_t> order);
/// `value` under another shape.
mlir::Value reshaped(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value, llvm::ArrayRef<int64_t> shape);

/// The result of `op` without bias and relu, with channels last, from an input with channels last: as a matrix product, `nn.depthwise_conv` or
/// `nn.packed_conv`.
mlir::Value convolve(mlir::OpBuilder &b, nn::ConvOp op, mlir::Value input, const CpuTarget &target);
/// The same of a transposed convolution: as a matrix product where windows do not overlap, else as a convolution of the input
/// with zeros between its elements.
mlir::Value convolve(mlir::OpBuilder &b, nn::ConvTransposeOp op, mlir::Value input, const CpuTarget &target);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_CONVFORMS_H
