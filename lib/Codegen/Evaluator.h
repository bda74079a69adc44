#ifndef MPOPT_LIB_CODEGEN_EVALUATOR_H
#define MPOPT_LIB_CODEGEN_EVALUATOR_H

#include "Emitter.h"
#include "mpopt/Dialect/NN/Elementwise.h"
#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::codegen {

/// A place in a tensor: an element, or a run of `lanes` elements of which the k-th lies at index + k * laneStep in dimension laneDim.
/// Runs start at a multiple of the vector width or cover less than one.
struct Place {
  llvm::SmallVector<mlir::Value> index;
  int64_t lanes = 1;
  int64_t laneDim = -1;
  int64_t laneStep = 1;

  static Place element(llvm::ArrayRef<mlir::Value> index) { return {llvm::SmallVector<mlir::Value>(index), 1, -1, 1}; }
  /// A run along the last dimension.
  static Place run(llvm::ArrayRef<mlir::Value> index, int64_t lanes);
  bool isRun() const { return lanes > 1; }
};

/// Memory of a tensor, element [i..] at offset + sum i * stride.
struct View {
  mlir::Value pointer;
  mlir::Type element;
  llvm::SmallVector<int64_t> shape, strides;
  int64_t offset = 0;

  static View dense(mlir::Value pointer, mlir::RankedTensorType type);
};

/// Computes elements of a kernel's values on demand, through its pointwise and index-mapping operators, down to its arguments and to
/// values that the caller provides.
class Evaluator {
public:
  explicit Evaluator(Emitter &emitter) : e(emitter) {}

  using Source = std::function<mlir::Value(const Place &)>;
  /// From now on `value` comes from `source`, not from its operator.
  void provide(mlir::Value value, Source source) { sources[value] = std::move(source); }
  void forget(mlir::Value value) { sources.erase(value); }
  /// `value` lies in memory as `view` says.
  void bind(mlir::Value value, View view) { views[value] = std::move(view); }
  /// Where `value` lies, if it is bound or a transposed, sliced, broadcast or reshaped view of what is.
  std::optional<View> viewOf(mlir::Value value) const;

  /// The elements of `value` at `place`: a scalar, or a vector of place.lanes. Code that is emitted later in the same block may reuse
  /// them until fresh().
  mlir::Value at(mlir::Value value, const Place &place);
  /// Forgets what earlier code computed; call it when entering or leaving a loop body.
  void fresh() { memo.clear(); }

  /// Stores to `view` at `place`.
  void store(mlir::Value elements, const View &view, const Place &place);
  mlir::Value load(const View &view, const Place &place);
  /// A whole vector, of which the first `lanes` lanes are the elements from `index` on along the last dimension, whose stride must be 1.
  mlir::Value loadPartial(const View &view, llvm::ArrayRef<mlir::Value> index, int64_t lanes);

  Emitter &e;

private:
  mlir::Value compute(mlir::Value value, const Place &place);
  mlir::Value computeShapeOp(mlir::Operation *op, const Place &place);
  mlir::Value computeIndexOp(mlir::Operation *op, const Place &place);
  mlir::Value perLane(mlir::Value value, const Place &place);
  mlir::Value guarded(mlir::Value input, Place place, int64_t dim, mlir::Value fill);
  mlir::Value wrapped(mlir::Value index, int64_t size);
  Place broadcastPlace(mlir::Value operand, const Place &place);
  mlir::Value reshape(nn::ReshapeOp op, const Place &place);
  mlir::Value concat(nn::ConcatOp op, const Place &place);
  mlir::Value gather(nn::GatherOp op, const Place &place);
  mlir::Value gatherNd(nn::GatherNdOp op, const Place &place);
  mlir::Value rotary(nn::RotaryOp op, const Place &place);
  mlir::Value iota(nn::IotaOp op, const Place &place);
  mlir::Value constant(nn::ConstantOp op, const Place &place);

  using Key = std::pair<const void *, std::vector<const void *>>;
  std::map<Key, mlir::Value> memo;
  llvm::DenseMap<mlir::Value, Source> sources;
  llvm::DenseMap<mlir::Value, View> views;
};

using nn::isElementwise;
/// Whether the evaluator can compute single elements of `op`'s result.
bool isLight(mlir::Operation *op);
/// The pointwise operator `op` on operands in registers, all scalars or all vectors.
mlir::Value applyElementwise(Emitter &e, mlir::Operation *op, llvm::ArrayRef<mlir::Value> operands);

inline mlir::RankedTensorType tensorType(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}
/// The splat that `value` is, if it is a constant one.
std::optional<double> splatOf(mlir::Value value);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_EVALUATOR_H
