// Result types of elementwise operators, of those that move elements, and of reductions.
#include "NNInfer.h"

using namespace mlir;
using namespace mpopt::nn;

LogicalResult Inference::give(ArrayRef<int64_t> shape, Type element) {
  for (int64_t size : shape)
    if (size < 0)
      return fail("result would have a dimension of negative size ", size);
  results.push_back(RankedTensorType::get(shape, element));
  return success();
}

LogicalResult Inference::check(ValueRange operands) const {
  for (Value operand : operands) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (!type || !type.hasStaticShape())
      return fail("operands must be tensors of static shape, got ", operand.getType());
  }
  return success();
}

LogicalResult Inference::checkAxis(int64_t axis, int64_t rank) const {
  if (axis < 0 || axis >= rank)
    return fail("axis ", axis, " is not in [0, ", rank, ")");
  return success();
}

LogicalResult Inference::checkSameElement(Value a, Value b) const {
  if (typeOf(a).getElementType() != typeOf(b).getElementType())
    return fail("element types differ: ", a.getType(), " and ", b.getType());
  return success();
}

std::optional<SmallVector<int64_t>> mpopt::nn::broadcastShapes(ArrayRef<int64_t> lhs, ArrayRef<int64_t> rhs) {
  if (lhs.size() < rhs.size())
    std::swap(lhs, rhs);
  SmallVector<int64_t> shape(lhs);
  size_t lead = lhs.size() - rhs.size();
  for (auto [i, size] : llvm::enumerate(rhs)) {
    int64_t &into = shape[lead + i];
    if (into == 1)
      into = size;
    else if (size != 1 && size != into)
      return std::nullopt;
  }
  return shape;
}

namespace {

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

template <typename Adaptor> LogicalResult infer(Adaptor op, Inference &to) {
  return to.give(op.getOperands()[0].getType()); // unary operators
}

LogicalResult broadcast(Value lhs, Value rhs, Type element, Inference &to) {
  auto shape = broadcastShapes(shapeOf(lhs), shapeOf(rhs));
  if (!shape)
    return to.fail("shapes of ", lhs.getType(), " and ", rhs.getType(), " do not broadcast");
  if (failed(to.checkSameElement(lhs, rhs)))
    return failure();
  return to.give(*shape, element);
}

#define MPOPT_BINARY(OP)                                                                                               \
  LogicalResult infer(OP::Adaptor op, Inference &to) {                                                                 \
    return broadcast(op.getLhs(), op.getRhs(), typeOf(op.getLhs()).getElementType(), to);                              \
  }
MPOPT_BINARY(AddOp)
MPOPT_BINARY(SubOp)
MPOPT_BINARY(MulOp)
MPOPT_BINARY(DivOp)
MPOPT_BINARY(PowOp)
MPOPT_BINARY(MaxOp)
MPOPT_BINARY(MinOp)
MPOPT_BINARY(ModOp)
MPOPT_BINARY(AndOp)
MPOPT_BINARY(OrOp)
MPOPT_BINARY(XorOp)

LogicalResult infer(CompareOp::Adaptor op, Inference &to) {
  return broadcast(op.getLhs(), op.getRhs(), IntegerType::get(op.getLhs().getContext(), 1), to);
}

LogicalResult infer(IsNanOp::Adaptor op, Inference &to) {
  return to.give(shapeOf(op.getInput()), IntegerType::get(op.getInput().getContext(), 1));
}

LogicalResult infer(SelectOp::Adaptor op, Inference &to) {
  auto values = broadcastShapes(shapeOf(op.getLhs()), shapeOf(op.getRhs()));
  auto shape = values ? broadcastShapes(shapeOf(op.getCondition()), *values) : std::nullopt;
  if (!shape)
    return to.fail("shapes of ", op.getCondition().getType(), ", ", op.getLhs().getType(), " and ",
                   op.getRhs().getType(), " do not broadcast");
  if (failed(to.checkSameElement(op.getLhs(), op.getRhs())))
    return failure();
  return to.give(*shape, typeOf(op.getLhs()).getElementType());
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

LogicalResult infer(TransposeOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> shape = shapeOf(op.getInput()), permutation = op.getPermutation();
  SmallVector<int64_t> sorted(permutation), result;
  llvm::sort(sorted);
  if (sorted != llvm::to_vector(llvm::seq<int64_t>(0, shape.size())))
    return to.fail("permutation is not one of the dimensions of ", op.getInput().getType());
  for (int64_t dim : permutation)
    result.push_back(shape[dim]);
  return to.give(result, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(SliceOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> shape = shapeOf(op.getInput()), starts = op.getStarts(), sizes = op.getSizes(),
                    steps = op.getSteps();
  if (starts.size() != shape.size() || sizes.size() != shape.size() || steps.size() != shape.size())
    return to.fail("starts, sizes and steps need ", shape.size(), " elements each");
  for (size_t i = 0; i < shape.size(); ++i) {
    __int128 last = static_cast<__int128>(starts[i]) + static_cast<__int128>(sizes[i] - 1) * steps[i];
    if (sizes[i] < 0 || steps[i] == 0 ||
        (sizes[i] > 0 && (starts[i] < 0 || starts[i] >= shape[i] || last < 0 || last >= shape[i])))
      return to.fail("slice of dimension ", i, " (start ", starts[i], ", size ", sizes[i], ", step ", steps[i],
                     ") leaves ", op.getInput().getType());
  }
  return to.give(sizes, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(ConcatOp::Adaptor op, Inference &to) {
  if (op.getInputs().empty())
    return to.fail("needs at least one operand");
  RankedTensorType first = typeOf(op.getInputs()[0]);
  int64_t axis = op.getAxis();
  if (failed(to.checkAxis(axis, first.getRank())))
    return failure();
  SmallVector<int64_t> shape(first.getShape());
  for (Value input : op.getInputs().drop_front()) {
    SmallVector<int64_t> other(shapeOf(input));
    if (other.size() != shape.size() || typeOf(input).getElementType() != first.getElementType())
      return to.fail("operands ", first, " and ", input.getType(), " do not fit");
    shape[axis] += other[axis];
    other[axis] = shape[axis];
    if (other != shape)
      return to.fail("operands ", first, " and ", input.getType(), " differ outside of axis ", axis);
  }
  return to.give(shape, first.getElementType());
}

LogicalResult infer(PadOp::Adaptor op, Inference &to) {
  SmallVector<int64_t> shape(shapeOf(op.getInput()));
  if (op.getLow().size() != shape.size() || op.getHigh().size() != shape.size())
    return to.fail("low and high need ", shape.size(), " elements each");
  for (size_t i = 0; i < shape.size(); ++i)
    shape[i] += op.getLow()[i] + op.getHigh()[i];
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(GatherOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), indices = shapeOf(op.getIndices());
  int64_t axis = op.getAxis();
  if (failed(to.checkAxis(axis, input.size())))
    return failure();
  if (op.getOffset() && typeOf(op.getOffset()).getNumElements() != 1)
    return to.fail("offset must be a scalar");
  SmallVector<int64_t> shape(input.take_front(axis));
  llvm::append_range(shape, indices);
  llvm::append_range(shape, input.drop_front(axis + 1));
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(GatherElementsOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), indices = shapeOf(op.getIndices());
  if (failed(to.checkAxis(op.getAxis(), input.size())))
    return failure();
  if (input.size() != indices.size())
    return to.fail("input and indices must have one rank");
  for (size_t i = 0; i < input.size(); ++i)
    if (static_cast<int64_t>(i) != static_cast<int64_t>(op.getAxis()) && indices[i] > input[i])
      return to.fail("indices leave the input in dimension ", i);
  return to.give(indices, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(GatherNdOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), indices = shapeOf(op.getIndices());
  int64_t batch = op.getBatchDims();
  if (indices.empty() || batch < 0 || batch >= static_cast<int64_t>(indices.size()) || indices.back() < 1 ||
      batch + indices.back() > static_cast<int64_t>(input.size()))
    return to.fail("indices ", op.getIndices().getType(), " with ", batch, " batch dimensions do not fit ",
                   op.getInput().getType());
  if (input.take_front(batch) != indices.take_front(batch))
    return to.fail("batch dimensions differ");
  SmallVector<int64_t> shape(indices.drop_back());
  llvm::append_range(shape, input.drop_front(batch + indices.back()));
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(ScatterNdOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), indices = shapeOf(op.getIndices());
  if (indices.empty() || indices.back() < 1 || indices.back() > static_cast<int64_t>(input.size()))
    return to.fail("indices ", op.getIndices().getType(), " do not fit ", op.getInput().getType());
  SmallVector<int64_t> updates(indices.drop_back());
  llvm::append_range(updates, input.drop_front(indices.back()));
  if (shapeOf(op.getUpdates()) != ArrayRef<int64_t>(updates))
    return to.fail("updates must be of shape ", ArrayRef<int64_t>(updates));
  if (failed(to.checkSameElement(op.getInput(), op.getUpdates())))
    return failure();
  return to.give(op.getInput().getType());
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

LogicalResult reducedType(Value input, ArrayRef<int64_t> axes, bool keepDims, Type element, Inference &to) {
  ArrayRef<int64_t> shape = shapeOf(input);
  SmallVector<bool> reduced(shape.size());
  for (int64_t axis : axes) {
    if (failed(to.checkAxis(axis, shape.size())))
      return failure();
    if (std::exchange(reduced[axis], true))
      return to.fail("axis ", axis, " occurs twice");
  }
  SmallVector<int64_t> result;
  for (size_t i = 0; i < shape.size(); ++i)
    if (!reduced[i] || keepDims)
      result.push_back(reduced[i] ? 1 : shape[i]);
  return to.give(result, element);
}

LogicalResult infer(ReduceOp::Adaptor op, Inference &to) {
  return reducedType(op.getInput(), op.getAxes(), op.getKeepDims(), typeOf(op.getInput()).getElementType(), to);
}

LogicalResult infer(ArgReduceOp::Adaptor op, Inference &to) {
  return reducedType(op.getInput(), {static_cast<int64_t>(op.getAxis())}, op.getKeepDims(),
                     IntegerType::get(op.getInput().getContext(), 64), to);
}

LogicalResult infer(TopKOp::Adaptor op, Inference &to) {
  SmallVector<int64_t> shape(shapeOf(op.getInput()));
  int64_t axis = op.getAxis(), k = op.getK();
  if (failed(to.checkAxis(axis, shape.size())))
    return failure();
  if (k < 0 || k > shape[axis])
    return to.fail("k = ", k, " is not in [0, ", shape[axis], "]");
  shape[axis] = k;
  if (failed(to.give(shape, typeOf(op.getInput()).getElementType())))
    return failure();
  return to.give(shape, IntegerType::get(op.getInput().getContext(), 64));
}

LogicalResult infer(CumSumOp::Adaptor op, Inference &to) {
  if (failed(to.checkAxis(op.getAxis(), typeOf(op.getInput()).getRank())))
    return failure();
  return to.give(op.getInput().getType());
}

} // namespace

MPOPT_INFER(NegOp)
MPOPT_INFER(AbsOp)
MPOPT_INFER(SignOp)
MPOPT_INFER(ExpOp)
MPOPT_INFER(LogOp)
MPOPT_INFER(SqrtOp)
MPOPT_INFER(RsqrtOp)
MPOPT_INFER(ReciprocalOp)
MPOPT_INFER(SinOp)
MPOPT_INFER(CosOp)
MPOPT_INFER(TanhOp)
MPOPT_INFER(ErfOp)
MPOPT_INFER(FloorOp)
MPOPT_INFER(CeilOp)
MPOPT_INFER(RoundOp)
MPOPT_INFER(SigmoidOp)
MPOPT_INFER(ReluOp)
MPOPT_INFER(SiluOp)
MPOPT_INFER(SoftplusOp)
MPOPT_INFER(NotOp)
MPOPT_INFER(GeluOp)
MPOPT_INFER(LeakyReluOp)
MPOPT_INFER(EluOp)
MPOPT_INFER(HardSigmoidOp)
MPOPT_INFER(IsNanOp)
MPOPT_INFER(AddOp)
MPOPT_INFER(SubOp)
MPOPT_INFER(MulOp)
MPOPT_INFER(DivOp)
MPOPT_INFER(PowOp)
MPOPT_INFER(MaxOp)
MPOPT_INFER(MinOp)
MPOPT_INFER(ModOp)
MPOPT_INFER(AndOp)
MPOPT_INFER(OrOp)
MPOPT_INFER(XorOp)
MPOPT_INFER(CompareOp)
MPOPT_INFER(SelectOp)
MPOPT_INFER(TransposeOp)
MPOPT_INFER(SliceOp)
MPOPT_INFER(ConcatOp)
MPOPT_INFER(PadOp)
MPOPT_INFER(GatherOp)
MPOPT_INFER(GatherElementsOp)
MPOPT_INFER(GatherNdOp)
MPOPT_INFER(ScatterNdOp)
MPOPT_INFER(ReduceOp)
MPOPT_INFER(ArgReduceOp)
MPOPT_INFER(TopKOp)
MPOPT_INFER(CumSumOp)
