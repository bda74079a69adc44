// Result types of products, norms, attention, convolution and pooling.
#include "NNInfer.h"

using namespace mlir;
using namespace mpopt::nn;

namespace {

LogicalResult infer(MatmulOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> lhs = shapeOf(op.getLhs()), rhs = shapeOf(op.getRhs());
  if (lhs.size() < 2 || rhs.size() < 2)
    return to.fail("operands need rank 2 at least");
  auto shape = broadcastShapes(lhs.drop_back(2), rhs.drop_back(2));
  if (!shape || lhs.back() != rhs[rhs.size() - 2])
    return to.fail("cannot multiply ", op.getLhs().getType(), " by ", op.getRhs().getType());
  if (failed(to.checkSameElement(op.getLhs(), op.getRhs())))
    return failure();
  shape->push_back(lhs[lhs.size() - 2]);
  shape->push_back(rhs.back());
  return to.give(*shape, typeOf(op.getLhs()).getElementType());
}

LogicalResult infer(PackedMatmulOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> lhs = shapeOf(op.getLhs()), packed = shapeOf(op.getPacked());
  int64_t n = op.getN();
  if (lhs.empty() || packed.size() != 3 || packed[1] != lhs.back() || packed[2] < 1 || n < 1 ||
      packed[0] != (n + packed[2] - 1) / packed[2])
    return to.fail("cannot multiply ", op.getLhs().getType(), " by panels ", op.getPacked().getType(), " of ", n,
                   " columns");
  SmallVector<int64_t> shape(lhs);
  shape.back() = n;
  return to.give(shape, typeOf(op.getLhs()).getElementType());
}

LogicalResult infer(ExpertMatmulOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> lhs = shapeOf(op.getLhs()), weights = shapeOf(op.getWeights()), indices = shapeOf(op.getIndices());
  int64_t n = op.getN() ? static_cast<int64_t>(*op.getN()) : weights.empty() ? 0 : weights.back();
  bool fits = lhs.size() == 2 && indices.size() == 1 && weights.size() == (op.getN() ? 4u : 3u) &&
              weights[weights.size() - 2] == lhs[1] && (lhs[0] == 0 ? indices[0] == 0 : indices[0] % lhs[0] == 0);
  if (fits && op.getN())
    fits = n >= 1 && weights[3] >= 1 && weights[1] == (n + weights[3] - 1) / weights[3];
  if (!fits)
    return to.fail("cannot multiply ", op.getLhs().getType(), " by the experts ", op.getWeights().getType(), " at ",
                   op.getIndices().getType());
  if (failed(to.checkSameElement(op.getLhs(), op.getWeights())))
    return failure();
  return to.give({indices[0], n}, typeOf(op.getLhs()).getElementType());
}

LogicalResult infer(ExpertsOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), indices = shapeOf(op.getIndices()), up = shapeOf(op.getUp()),
                    down = shapeOf(op.getDown());
  bool fits = !input.empty() && indices.size() == input.size() && indices == shapeOf(op.getScales()) &&
              input.drop_back() == indices.drop_back() && up.size() == 3 && down.size() == 3 && up[0] == down[0] &&
              up[1] == input.back() && up[2] == down[1] && (!op.getGate() || shapeOf(op.getGate()) == up);
  if (!fits)
    return to.fail("input ", op.getInput().getType(), ", indices ", op.getIndices().getType(), ", scales ",
                   op.getScales().getType(), " and experts ", op.getUp().getType(), ", ", op.getDown().getType(),
                   " do not fit");
  for (Value other : {op.getScales(), op.getUp(), op.getDown()})
    if (failed(to.checkSameElement(op.getInput(), other)))
      return failure();
  SmallVector<int64_t> shape(input);
  shape.back() = down[2];
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(SoftmaxOp::Adaptor op, Inference &to) {
  if (failed(to.checkAxis(op.getAxis(), typeOf(op.getInput()).getRank())))
    return failure();
  return to.give(op.getInput().getType());
}

LogicalResult infer(LayerNormOp::Adaptor op, Inference &to) {
  if (failed(to.checkAxis(op.getAxis(), typeOf(op.getInput()).getRank())))
    return failure();
  return to.give(op.getInput().getType());
}

LogicalResult infer(LrnOp::Adaptor op, Inference &to) {
  if (static_cast<int64_t>(op.getSize()) < 1)
    return to.fail("needs a size of 1 at least");
  if (failed(to.checkAxis(op.getAxis(), typeOf(op.getInput()).getRank())))
    return failure();
  return to.give(op.getInput().getType());
}

LogicalResult infer(GroupNormOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> shape = shapeOf(op.getInput());
  int64_t groups = op.getGroups();
  if (shape.size() < 2 || groups < 1 || shape[1] % groups)
    return to.fail("channels of ", op.getInput().getType(), " do not split into ", groups, " groups");
  for (Value operand : {op.getScale(), op.getBias()})
    if (shapeOf(operand) != shape.slice(1, 1))
      return to.fail("scale and bias must have ", shape[1], " elements");
  return to.give(op.getInput().getType());
}

LogicalResult infer(AttentionOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> q = shapeOf(op.getQuery()), k = shapeOf(op.getKey()), v = shapeOf(op.getValue());
  if (q.size() != 4 || k.size() != 4 || v.size() != 4)
    return to.fail("query, key and value must have rank 4");
  if (q[0] != k[0] || q[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3])
    return to.fail("query ", op.getQuery().getType(), ", key ", op.getKey().getType(), " and value ",
                   op.getValue().getType(), " do not fit");
  if (k[1] < 1 || q[1] % k[1])
    return to.fail(k[1], " key heads do not divide ", q[1], " query heads");
  if (Value mask = op.getMask()) {
    SmallVector<int64_t> scores{q[0], q[1], q[2], k[2]};
    auto shape = broadcastShapes(shapeOf(mask), scores);
    if (!shape || *shape != scores)
      return to.fail("mask ", mask.getType(), " does not broadcast to the scores");
  }
  return to.give({q[0], q[1], q[2], v[3]}, typeOf(op.getQuery()).getElementType());
}

LogicalResult infer(RotaryOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> x = shapeOf(op.getInput()), cos = shapeOf(op.getCos());
  if (x.empty() || cos.empty() || cos != shapeOf(op.getSin()) || 2 * cos.back() > x.back())
    return to.fail("angles ", op.getCos().getType(), " and ", op.getSin().getType(), " do not fit ",
                   op.getInput().getType());
  auto outer = broadcastShapes(cos.drop_back(), x.drop_back());
  if (!outer || ArrayRef<int64_t>(*outer) != x.drop_back())
    return to.fail("angles ", op.getCos().getType(), " do not broadcast to ", op.getInput().getType());
  return to.give(op.getInput().getType());
}

/// Positions of a window of `kernel` elements over `size` elements with padding; negative when there is none.
int64_t windowPositions(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, int64_t padding) {
  int64_t room = size + padding - dilation * (kernel - 1) - 1;
  return room < 0 ? -1 : room / stride + 1;
}

template <typename Adaptor> LogicalResult checkWindow(Adaptor op, size_t spatial, Inference &to) {
  for (ArrayRef<int64_t> values : {op.getStrides(), op.getDilations(), op.getPadsBegin(), op.getPadsEnd()})
    if (values.size() != spatial)
      return to.fail("strides, dilations and pads need ", spatial, " elements each");
  for (ArrayRef<int64_t> values : {op.getStrides(), op.getDilations()})
    if (llvm::any_of(values, [](int64_t value) { return value < 1; }))
      return to.fail("strides and dilations must be positive");
  return success();
}

/// Appends the window positions of every spatial dimension of `input`, which begin at dimension `first`, to `shape`.
template <typename Adaptor>
LogicalResult appendPositions(Adaptor op, ArrayRef<int64_t> input, ArrayRef<int64_t> kernel,
                              SmallVector<int64_t> &shape, Inference &to, size_t first = 2) {
  for (size_t i = 0; i < kernel.size(); ++i) {
    if (kernel[i] < 1)
      return to.fail("kernel sizes must be positive");
    shape.push_back(windowPositions(input[i + first], kernel[i], op.getStrides()[i], op.getDilations()[i],
                                    op.getPadsBegin()[i] + op.getPadsEnd()[i]));
    if (shape.back() < 0)
      return to.fail("a window of ", kernel[i], " elements does not fit in dimension ", i + first, " of ",
                     op.getInput().getType());
  }
  return success();
}

template <typename Adaptor> LogicalResult checkBias(Adaptor op, int64_t channels, Inference &to) {
  if (op.getBias() && shapeOf(op.getBias()) != ArrayRef<int64_t>{channels})
    return to.fail("bias must have ", channels, " elements, one per output channel");
  return success();
}

LogicalResult infer(ConvOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), weight = shapeOf(op.getWeight());
  int64_t groups = op.getGroups();
  if (input.size() < 3 || weight.size() != input.size() || groups < 1 || input[1] != weight[1] * groups ||
      weight[0] % groups)
    return to.fail("weight ", op.getWeight().getType(), " of ", groups, " groups does not fit ",
                   op.getInput().getType());
  SmallVector<int64_t> shape{input[0], weight[0]};
  if (failed(checkWindow(op, input.size() - 2, to)) || failed(checkBias(op, weight[0], to)) ||
      failed(appendPositions(op, input, weight.drop_front(2), shape, to)))
    return failure();
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(ConvTransposeOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), weight = shapeOf(op.getWeight());
  int64_t groups = op.getGroups();
  if (input.size() < 3 || weight.size() != input.size() || groups < 1 || input[1] != weight[0] || weight[0] % groups ||
      op.getOutputPadding().size() != input.size() - 2)
    return to.fail("weight ", op.getWeight().getType(), " of ", groups, " groups does not fit ",
                   op.getInput().getType());
  if (failed(checkWindow(op, input.size() - 2, to)) || failed(checkBias(op, weight[1] * groups, to)))
    return failure();
  SmallVector<int64_t> shape{input[0], weight[1] * groups};
  for (size_t i = 0; i + 2 < input.size(); ++i)
    shape.push_back((input[i + 2] - 1) * op.getStrides()[i] + op.getOutputPadding()[i] +
                    op.getDilations()[i] * (weight[i + 2] - 1) + 1 - op.getPadsBegin()[i] - op.getPadsEnd()[i]);
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

template <typename Adaptor> LogicalResult inferPool(Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput());
  if (input.size() < 3 || op.getKernel().size() != input.size() - 2)
    return to.fail("kernel needs one size for each spatial dimension of ", op.getInput().getType());
  SmallVector<int64_t> shape{input[0]};
  if (!op.getChannelsLast())
    shape.push_back(input[1]);
  if (failed(checkWindow(op, input.size() - 2, to)) ||
      failed(appendPositions(op, input, op.getKernel(), shape, to, shape.size())))
    return failure();
  if (op.getChannelsLast())
    shape.push_back(input.back());
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(PackedConvOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), packed = shapeOf(op.getPacked());
  int64_t channels = op.getChannels();
  bool fits = input.size() >= 3 && packed.size() == input.size() + 2 && packed[0] > 0 && packed.back() > 0 &&
              channels > 0 && channels % packed[0] == 0 &&
              packed[1] == (channels / packed[0] + packed.back() - 1) / packed.back() &&
              input.back() == packed[0] * packed[packed.size() - 2];
  if (!fits)
    return to.fail("packed weight ", op.getPacked().getType(), " of ", channels, " channels does not fit ",
                   op.getInput().getType());
  SmallVector<int64_t> shape{input[0]};
  if (failed(checkWindow(op, input.size() - 2, to)) ||
      failed(appendPositions(op, input, packed.drop_front(2).drop_back(2), shape, to, 1)))
    return failure();
  shape.push_back(channels);
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(DepthwiseConvOp::Adaptor op, Inference &to) {
  ArrayRef<int64_t> input = shapeOf(op.getInput()), weight = shapeOf(op.getWeight());
  if (input.size() < 3 || weight.size() != input.size() - 1 || weight.back() != input.back())
    return to.fail("weight ", op.getWeight().getType(), " does not fit ", op.getInput().getType());
  SmallVector<int64_t> shape{input[0]};
  if (failed(checkWindow(op, input.size() - 2, to)) ||
      failed(appendPositions(op, input, weight.drop_back(), shape, to, 1)))
    return failure();
  shape.push_back(input.back());
  return to.give(shape, typeOf(op.getInput()).getElementType());
}

LogicalResult infer(MaxPoolOp::Adaptor op, Inference &to) { return inferPool(op, to); }
LogicalResult infer(AvgPoolOp::Adaptor op, Inference &to) { return inferPool(op, to); }

} // namespace

MPOPT_INFER(MatmulOp)
MPOPT_INFER(PackedMatmulOp)
MPOPT_INFER(ExpertMatmulOp)
MPOPT_INFER(ExpertsOp)
MPOPT_INFER(SoftmaxOp)
MPOPT_INFER(LayerNormOp)
MPOPT_INFER(LrnOp)
MPOPT_INFER(GroupNormOp)
MPOPT_INFER(AttentionOp)
MPOPT_INFER(RotaryOp)
MPOPT_INFER(ConvOp)
MPOPT_INFER(ConvTransposeOp)
MPOPT_INFER(MaxPoolOp)
MPOPT_INFER(AvgPoolOp)
MPOPT_INFER(PackedConvOp)
MPOPT_INFER(DepthwiseConvOp)
