#ifndef MPOPT_LIB_PLANNING_ROLES_H
#define MPOPT_LIB_PLANNING_ROLES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include <functional>

namespace mpopt::planning {

/// What a dimension means to the model as a whole.
enum class DimRole { Other, Batch, Sequence };

/// A part of a dimension; a reshape may have merged a batch and a sequence into one.
struct Segment {
  int64_t size;
  DimRole role;
};
/// Major to minor.
using Segments = llvm::SmallVector<Segment, 2>;

/// What a stage of a pipeline knows of values that others make.
struct StageInputs {
  int64_t batch = 0; ///< Size of the batch.
  /// The parts of the dimensions of what a coll.recv gets; empty where they are not known.
  std::function<llvm::SmallVector<Segments>(mlir::Operation *recv)> received;
};

/// The meaning of every dimension of every run-time value: dimension 0 of the inputs is the batch (where it has the size that the
/// first input's has), dimension 1 of inputs of token ids (rank 2, integers) the sequence, and the operators' rules carry that on. What
/// attention has as queries and keys is a sequence wherever it comes from: an image's patches are one.
class DimRoles {
public:
  /// `inputs` where @main is a stage of its own.
  explicit DimRoles(mlir::func::FuncOp main, const StageInputs &inputs = {});

  /// The parts of the factors of a rule, from what the operands' dimensions mean. Values without known parts: Other.
  llvm::SmallVector<Segments> ofFactors(mlir::ValueRange operands, const shd::PartitionRule &rule) const;
  /// The parts of a value's dimensions.
  llvm::SmallVector<Segments> ofValue(mlir::Value value) const;

private:
  void seed(mlir::func::FuncOp main, const StageInputs &inputs);
  void seedAttention(mlir::Operation *op);
  void follow(mlir::Operation *op);
  void followBack(mlir::Operation *op);
  void gather(mlir::ValueRange values, llvm::ArrayRef<shd::PartitionRule::TensorDims> tensors,
              const shd::PartitionRule &rule, llvm::MutableArrayRef<Segments> factors) const;
  void note(mlir::Value value, llvm::SmallVector<Segments> dims);

  llvm::DenseMap<mlir::Value, llvm::SmallVector<Segments>> known;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_ROLES_H
