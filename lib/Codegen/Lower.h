#ifndef MPOPT_LIB_CODEGEN_LOWER_H
#define MPOPT_LIB_CODEGEN_LOWER_H

#include "Evaluator.h"

namespace mpopt::codegen {

/// One kernel while its code is emitted.
struct Kernel {
  /// A result: its value and the memory it is written to, in the coordinates of the value.
  struct Output {
    mlir::Value value;
    View view;
  };

  Emitter &e;
  Evaluator &ev;
  llvm::SmallVector<Output> outputs;

  /// Writes every output at `place`; all have one shape.
  void store(const Place &place);
  /// `elements` is `value` at `place`: writes every output there.
  void write(mlir::Value value, const Place &place, mlir::Value elements);
  /// Lets outputs that only transpose or reshape a value be written through that value.
  void lookThroughOutputs();
};

/// The operator that decides how a kernel is computed: the only one in it that is not light.
mlir::Operation *findAnchor(mlir::func::FuncOp function);

mlir::LogicalResult lowerPointwise(Kernel &kernel);
/// Softmax over the last dimension and layer norms, in order, with pointwise operators before, between and after, row by row.
mlir::LogicalResult lowerRows(Kernel &kernel, llvm::ArrayRef<mlir::Operation *> anchors);
mlir::LogicalResult lowerReduce(Kernel &kernel, nn::ReduceOp op);
mlir::LogicalResult lowerMatmul(Kernel &kernel, nn::MatmulOp op);
mlir::LogicalResult lowerPackedMatmul(Kernel &kernel, nn::PackedMatmulOp op);
mlir::LogicalResult lowerPackedConv(Kernel &kernel, nn::PackedConvOp op);
mlir::LogicalResult lowerDepthwiseConv(Kernel &kernel, nn::DepthwiseConvOp op);
mlir::LogicalResult lowerPool(Kernel &kernel, nn::MaxPoolOp op);
mlir::LogicalResult lowerPool(Kernel &kernel, nn::AvgPoolOp op);
mlir::LogicalResult lowerExpertMatmul(Kernel &kernel, nn::ExpertMatmulOp op);
mlir::LogicalResult lowerAttention(Kernel &kernel, nn::AttentionOp op);
/// Softmax over another dimension than the last, arg_reduce, top_k, cum_sum, scatter_nd, lrn, group_norm.
mlir::LogicalResult lowerOther(Kernel &kernel, mlir::Operation *op);

/// Whether what follows `product` in its kernel is worth a loop of its own.
bool hasLongEpilogue(mlir::Operation *product);
/// Index along `shape` of its row-major element `linear`.
llvm::SmallVector<mlir::Value> delinearize(Emitter &e, mlir::Value linear, llvm::ArrayRef<int64_t> shape);

/// Whether `op` can be one of the anchors of lowerRows().
bool isRowAnchor(mlir::Operation *op);
/// First dimension of the rows that a row anchor works on.
int64_t rowAxis(mlir::Operation *op);

/// Reduces over `shape` (its last dimension in vectors): `body` gives one vector or scalar of `element` per kind. Returns scalars.
llvm::SmallVector<mlir::Value>
accumulate(Kernel &kernel, llvm::ArrayRef<int64_t> shape, mlir::Type element, llvm::ArrayRef<nn::ReduceKind> kinds,
           const std::function<llvm::SmallVector<mlir::Value>(llvm::ArrayRef<mlir::Value> index, int64_t lanes)> &body);
mlir::Value combine(Emitter &e, nn::ReduceKind kind, mlir::Type memoryElement, mlir::Value x, mlir::Value y);
/// The value that changes nothing in `kind`, in registers.
mlir::Value neutral(Emitter &e, nn::ReduceKind kind, mlir::Type memoryElement);
mlir::Value reduceLanes(Emitter &e, nn::ReduceKind kind, mlir::Type memoryElement, mlir::Value vector);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_LOWER_H
