// Folding of operators that move elements, and of reductions.
#include "NNFoldData.h"

using namespace mlir;
using namespace mpopt::nn;

namespace {

RankedTensorType resultType(Operation *op) { return cast<RankedTensorType>(op->getResult(0).getType()); }

/// The splat of `from`'s one element, of another type.
DenseElementsAttr splatAs(const FoldData &from, RankedTensorType type) {
  FoldData result(type);
  if (type.getNumElements() > 0)
    result.push(from, 0);
  return result.write();
}

/// The elements of `from` at start + sum index * strides, in the order of the result.
OpFoldResult foldStrided(const FoldData &from, RankedTensorType type, int64_t start, ArrayRef<int64_t> strides) {
  if (from.splat)
    return splatAs(from, type);
  if (!mayFold(type, false))
    return {};
  FoldData result(type);
  forEachOffset(type.getShape(), start, strides, [&](int64_t, int64_t offset) { result.push(from, offset); });
  return result.write();
}

} // namespace

OpFoldResult ReshapeOp::fold(FoldAdaptor operands) {
  if (getInput().getType() == getType())
    return getInput();
  if (auto inner = getInput().getDefiningOp<ReshapeOp>()) {
    if (inner.getInput().getType() == getType())
      return inner.getInput();
    getInputMutable().assign(inner.getInput());
    return getResult();
  }
  if (auto dense = dyn_cast_or_null<DenseElementsAttr>(operands.getInput()))
    return dense.reshape(resultType(*this));
  return {};
}

OpFoldResult TransposeOp::fold(FoldAdaptor operands) {
  if (llvm::equal(getPermutation(), llvm::seq<int64_t>(0, getPermutation().size())))
    return getInput();
  if (auto inner = getInput().getDefiningOp<TransposeOp>()) {
    SmallVector<int64_t> permutation;
    for (int64_t dim : getPermutation())
      permutation.push_back(inner.getPermutation()[dim]);
    getInputMutable().assign(inner.getInput());
    setPermutation(permutation);
    return getResult();
  }
  auto input = FoldData::read(operands.getInput());
  if (!input)
    return {};
  ArrayRef<int64_t> shape = input->type.getShape();
  SmallVector<int64_t> from(shape.size()), strides;
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0; stride *= shape[d])
    from[d] = stride;
  for (int64_t dim : getPermutation())
    strides.push_back(from[dim]);
  return foldStrided(*input, resultType(*this), 0, strides);
}

OpFoldResult BroadcastOp::fold(FoldAdaptor operands) {
  if (getInput().getType() == getType())
    return getInput();
  if (auto inner = getInput().getDefiningOp<BroadcastOp>()) {
    getInputMutable().assign(inner.getInput());
    return getResult();
  }
  auto input = FoldData::read(operands.getInput());
  if (!input)
    return {};
  RankedTensorType type = resultType(*this);
  return foldStrided(*input, type, 0, broadcastStrides(input->type.getShape(), type.getShape()));
}

OpFoldResult SliceOp::fold(FoldAdaptor operands) {
  if (getInput().getType() == getType() && llvm::all_of(getSteps(), [](int64_t step) { return step == 1; }))
    return getInput();
  auto input = FoldData::read(operands.getInput());
  if (!input)
    return {};
  ArrayRef<int64_t> shape = input->type.getShape();
  SmallVector<int64_t> strides(shape.size());
  int64_t stride = 1, start = 0;
  for (size_t d = shape.size(); d-- > 0; stride *= shape[d]) {
    strides[d] = stride * getSteps()[d];
    start += stride * getStarts()[d];
  }
  return foldStrided(*input, resultType(*this), start, strides);
}

OpFoldResult ConcatOp::fold(FoldAdaptor operands) {
  RankedTensorType type = resultType(*this);
  if (getInputs().size() == 1)
    return getInputs()[0];
  if (!mayFold(type, false))
    return {};
  std::vector<FoldData> inputs;
  for (Attribute attribute : operands.getInputs()) {
    auto input = FoldData::read(attribute);
    if (!input)
      return {};
    inputs.push_back(std::move(*input));
  }
  int64_t outer = ShapedType::getNumElements(type.getShape().take_front(getAxis()));
  FoldData result(type);
  for (int64_t o = 0; o < outer; ++o)
    for (const FoldData &input : inputs) {
      int64_t inner = ShapedType::getNumElements(input.type.getShape().drop_front(getAxis()));
      for (int64_t i = 0; i < inner; ++i)
        result.push(input, o * inner + i);
    }
  return result.write();
}

OpFoldResult GatherOp::fold(FoldAdaptor operands) {
  auto input = FoldData::read(operands.getInput()), indices = FoldData::read(operands.getIndices());
  RankedTensorType type = resultType(*this);
  if (!input || !indices || getOffset() || !mayFold(type, false))
    return {};
  ArrayRef<int64_t> shape = input->type.getShape();
  int64_t size = shape[getAxis()], outer = ShapedType::getNumElements(shape.take_front(getAxis()));
  int64_t inner = ShapedType::getNumElements(shape.drop_front(getAxis() + 1));
  int64_t count = indices->type.getNumElements();
  FoldData result(type);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < count; ++i) {
      int64_t index = indices->intAt(i) < 0 ? indices->intAt(i) + size : indices->intAt(i);
      if (index < 0 || index >= size)
        return {};
      for (int64_t j = 0; j < inner; ++j)
        result.push(*input, (o * size + index) * inner + j);
    }
  return result.write();
}

namespace {

template <typename T> T combine(ReduceKind kind, T a, T b) {
  switch (kind) {
  case ReduceKind::Sum:
    return a + b;
  case ReduceKind::Prod:
    return a * b;
  case ReduceKind::Max:
    return a != a || a > b ? a : b;
  case ReduceKind::Min:
    return a != a || a < b ? a : b;
  }
  llvm_unreachable("covered switch");
}

} // namespace

OpFoldResult ReduceOp::fold(FoldAdaptor operands) {
  auto input = FoldData::read(operands.getInput());
  if (getAxes().empty())
    return getInput();
  RankedTensorType type = resultType(*this);
  if (!input || !mayFold(input->type, false) || input->type.getNumElements() == 0)
    return {};
  ArrayRef<int64_t> shape = input->type.getShape();
  SmallVector<int64_t> kept(shape);
  for (int64_t axis : getAxes())
    kept[axis] = 1;
  FoldData result(type);
  std::vector<bool> seen(type.getNumElements());
  (input->isFloat() ? result.floats.resize(seen.size()) : result.ints.resize(seen.size()));
  forEachOffset(shape, 0, broadcastStrides(kept, shape), [&](int64_t i, int64_t to) {
    if (input->isFloat())
      result.floats[to] = seen[to] ? combine(getKind(), result.floats[to], input->floatAt(i)) : input->floatAt(i);
    else
      result.ints[to] = static_cast<int64_t>(
          seen[to] ? getKind() == ReduceKind::Max || getKind() == ReduceKind::Min
                         ? combine(getKind(), result.ints[to], input->intAt(i))
                         : static_cast<int64_t>(combine<uint64_t>(getKind(), result.ints[to], input->intAt(i)))
                   : input->intAt(i));
    seen[to] = true;
  });
  return result.write();
}
