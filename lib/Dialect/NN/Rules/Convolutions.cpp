// Rules of convolution and pooling, with halos where space is split.
#include "Rules.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;
using shd::FactorKind;
using shd::LocalContext;
using shd::OpWork;
using shd::PartitionRule;

namespace {

/// How the windows of one spatial dimension reach past a device's part of it.
///
/// Output o reads input [o * stride - before, o * stride - before + reach). When the input is exactly stride times the output,
/// a device with L outputs owns L * stride inputs, and needs `low` of them from before and `high` from after.
struct Window {
  int64_t low = 0, high = 0;
  bool fits = false;

  Window(int64_t input, int64_t output, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
    int64_t reach = dilation * (kernel - 1) + 1;
    fits = input == output * stride && before >= 0;
    low = before;
    high = std::max<int64_t>(0, reach - stride - before);
  }
};

template <typename OpT> SmallVector<int64_t> kernelOf(OpT op) { return SmallVector<int64_t>(op.getKernel()); }
template <> SmallVector<int64_t> kernelOf(ConvOp op) {
  return SmallVector<int64_t>(typeOf(op.getWeight()).getShape().drop_front(2));
}

template <typename OpT> Window windowOf(OpT op, int64_t i) {
  return Window(typeOf(op.getInput()).getDimSize(i + 2), cast<RankedTensorType>(op.getType()).getDimSize(i + 2),
                kernelOf(op)[i], op.getStrides()[i], op.getDilations()[i], op.getPadsBegin()[i]);
}

/// Links batch and every spatial dimension that can be split.
template <typename OpT> void linkSpace(RuleBuilder &builder, OpT op, bool padsMayDiffer = true) {
  for (int64_t i = 0, count = op.getStrides().size(); i < count; ++i) {
    Window window = windowOf(op, i);
    int64_t outputs = builder.size(out(0, i + 2));
    bool padded = window.low > 0 || window.high > 0;
    if (!window.fits || outputs == 1 || (padded && !padsMayDiffer))
      continue;
    unsigned factor = builder.rule.addFactor(outputs, FactorKind::Halo);
    builder.rule.factors[factor].evenOnly = true;
    builder.rule.factors[factor].minLocal =
        std::max<int64_t>(1, llvm::divideCeil(std::max(window.low, window.high), op.getStrides()[i]));
    builder.append(in(0, i + 2), factor);
    builder.append(out(0, i + 2), factor);
  }
}

/// Fetches the neighbours' elements of every split dimension and clones the operator without padding there.
template <typename OpT>
FailureOr<SmallVector<Value>> buildWithHalo(OpT op, OpBuilder &builder, SmallVector<Value> operands,
                                            const LocalContext &context, double pad) {
  SmallVector<int64_t> begin(op.getPadsBegin()), end(op.getPadsEnd());
  for (int64_t i = 0, count = begin.size(); i < count; ++i) {
    ArrayRef<StringAttr> axes = context.axesOf(0, i + 2);
    if (axes.empty())
      continue;
    Window window = windowOf(op, i);
    begin[i] = end[i] = 0;
    if (window.low == 0 && window.high == 0)
      continue;
    RankedTensorType type = typeOf(operands[0]);
    SmallVector<int64_t> shape(type.getShape());
    shape[i + 2] += window.low + window.high;
    operands[0] = coll::HaloOp::create(
        builder, op.getLoc(), type.clone(shape), operands[0], builder.getI64IntegerAttr(i + 2),
        builder.getI64IntegerAttr(window.low), builder.getI64IntegerAttr(window.high), builder.getF64FloatAttr(pad),
        context.meshName, builder.getArrayAttr(SmallVector<Attribute>(axes.begin(), axes.end())));
  }
  auto made = shd::cloneLocal(op, builder, operands, context);
  if (succeeded(made)) {
    auto local = cast<OpT>((*made)[0].getDefiningOp());
    local.setPadsBegin(begin);
    local.setPadsEnd(end);
  }
  return made;
}

template <typename OpT> void addHaloWork(OpT op, OpWork &work, const PartitionRule &rule) {
  for (int64_t i = 0, count = op.getStrides().size(); i < count; ++i) {
    Window window = windowOf(op, i);
    if (rule.operandDims[0][i + 2].empty() || (window.low == 0 && window.high == 0))
      continue;
    double line = work.bytesRead / std::max<int64_t>(1, typeOf(op.getInput()).getDimSize(i + 2));
    work.internal.push_back({OpWork::Internal::Halo, rule.operandDims[0][i + 2][0], line * (window.low + window.high)});
  }
}

/// Channels of a convolution: `outputs` and `inputs` are the weight's dimensions of them; with groups, the group is the major
/// factor of both.
struct Channels {
  int64_t weightOut, weightIn;
};

void linkChannels(RuleBuilder &builder, int64_t groups, int64_t outPerGroup, int64_t inPerGroup, Channels channels,
                  bool hasBias, bool mayReduce, bool groupIsOnWeightOut) {
  SmallVector<Slot> outSlots{out(0, 1)}, inSlots{in(0, 1)};
  if (hasBias)
    outSlots.push_back(in(2, 0));
  if (groups > 1) {
    unsigned group = builder.rule.addFactor(groups);
    builder.rule.factors[group].evenOnly = true;
    for (Slot slot : outSlots)
      builder.append(slot, group);
    builder.append(in(0, 1), group);
    builder.append(in(1, groupIsOnWeightOut ? channels.weightOut : channels.weightIn), group);
  }
  outSlots.push_back(in(1, channels.weightOut));
  inSlots.push_back(in(1, channels.weightIn));
  auto add = [&](ArrayRef<Slot> slots, int64_t size, FactorKind kind) {
    if (size == 1)
      return;
    unsigned factor = builder.rule.addFactor(size, kind);
    for (Slot slot : slots)
      builder.append(slot, factor);
  };
  add(outSlots, outPerGroup, FactorKind::Parallel);
  add(inSlots, inPerGroup, mayReduce ? FactorKind::Reduce : FactorKind::NeedReplicate);
}

/// The bias is added once: by the first of the devices whose results are summed.
void keepBiasOnce(SmallVectorImpl<Value> &operands, Operation *op, OpBuilder &builder, const LocalContext &context) {
  if (operands.size() < 3)
    return;
  SmallVector<StringAttr> partial(context.strategy.unreduced);
  for (auto [factor, axes] : llvm::zip(context.rule.factors, context.strategy.axes))
    if (factor.kind == FactorKind::Reduce)
      llvm::append_range(partial, axes);
  operands[2] = LocalBuilder(builder, op->getLoc(), context).keepFirst(operands[2], partial);
}

int64_t localGroups(int64_t groups, const LocalContext &context) {
  if (groups == 1)
    return 1;
  // The group is the factor that both channel dimensions share.
  for (unsigned factor : context.rule.resultDims[0][1])
    if (llvm::is_contained(context.rule.operandDims[0][1], factor))
      return groups / context.mesh.sizeOf(context.strategy.axes[factor]);
  return groups;
}

OpWork convWork(Operation *op, const PartitionRule &rule, ArrayRef<int64_t> sizes, Value weight, int64_t inDim) {
  OpWork work = shd::defaultWork(op, rule, sizes);
  auto result = cast<RankedTensorType>(op->getResult(0).getType());
  OpWork::Matmul dims{1, 1, localSize(rule.resultDims[0][1], sizes), localSize(rule.operandDims[1][inDim], sizes)};
  for (int64_t d = 0; d < result.getRank(); ++d)
    if (d != 1)
      dims.m *= rule.resultDims[0][d].empty() ? result.getDimSize(d) : localSize(rule.resultDims[0][d], sizes);
  for (int64_t size : typeOf(weight).getShape().drop_front(2))
    dims.k *= size;
  work.flops = 2.0 * dims.m * dims.n * dims.k;
  work.matmul = dims;
  return work;
}

} // namespace

PartitionRule ConvOp::getPartitionRule() {
  RuleBuilder builder(*this);
  ArrayRef<int64_t> weight = typeOf(getWeight()).getShape();
  builder.link({in(0, 0), out(0, 0)});
  linkChannels(builder, getGroups(), weight[0] / getGroups(), weight[1], {0, 1}, bool(getBias()), !getRelu(), true);
  linkSpace(builder, *this);
  if (!getRelu() && !getBias())
    builder.rule.linearIn = {{0}, {1}};
  return builder.rule;
}

OpWork ConvOp::getLocalWork(ArrayRef<int64_t> sizes) {
  PartitionRule rule = getPartitionRule();
  OpWork work = convWork(*this, rule, sizes, getWeight(), 1);
  addHaloWork(*this, work, rule);
  return work;
}

FailureOr<SmallVector<Value>> ConvOp::buildLocal(OpBuilder &builder, ValueRange operands, const LocalContext &context) {
  SmallVector<Value> local(operands);
  keepBiasOnce(local, *this, builder, context);
  auto made = buildWithHalo(*this, builder, local, context, 0);
  if (succeeded(made))
    cast<ConvOp>((*made)[0].getDefiningOp()).setGroups(localGroups(getGroups(), context));
  return made;
}

PartitionRule ConvTransposeOp::getPartitionRule() {
  RuleBuilder builder(*this);
  ArrayRef<int64_t> weight = typeOf(getWeight()).getShape();
  builder.link({in(0, 0), out(0, 0)});
  linkChannels(builder, getGroups(), weight[1], weight[0] / getGroups(), {1, 0}, bool(getBias()), true, false);
  if (!getBias())
    builder.rule.linearIn = {{0}, {1}};
  return builder.rule;
}

OpWork ConvTransposeOp::getLocalWork(ArrayRef<int64_t> sizes) {
  return convWork(*this, getPartitionRule(), sizes, getWeight(), 0);
}

FailureOr<SmallVector<Value>> ConvTransposeOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                          const LocalContext &context) {
  SmallVector<Value> local(operands);
  keepBiasOnce(local, *this, builder, context);
  auto made = shd::cloneLocal(*this, builder, local, context);
  if (succeeded(made))
    cast<ConvTransposeOp>((*made)[0].getDefiningOp()).setGroups(localGroups(getGroups(), context));
  return made;
}

template <typename OpT> static PartitionRule poolRule(OpT op, bool padsMayDiffer) {
  if (op.getChannelsLast())
    return opaqueRule(op);
  RuleBuilder builder(op);
  builder.link({in(0, 0), out(0, 0)});
  builder.link({in(0, 1), out(0, 1)});
  linkSpace(builder, op, padsMayDiffer);
  return builder.rule;
}

PartitionRule MaxPoolOp::getPartitionRule() { return poolRule(*this, true); }

/// The number of real elements under a window depends on the place at the border, so padded space is not split, unless padding counts.
PartitionRule AvgPoolOp::getPartitionRule() {
  PartitionRule rule = poolRule(*this, getCountIncludePad());
  if (!getChannelsLast())
    rule.linearIn = {{0}};
  return rule;
}

template <typename OpT> static OpWork poolWork(OpT op, ArrayRef<int64_t> sizes) {
  PartitionRule rule = op.getPartitionRule();
  OpWork work = shd::defaultWork(op, rule, sizes);
  addHaloWork(op, work, rule);
  return work;
}

OpWork MaxPoolOp::getLocalWork(ArrayRef<int64_t> sizes) { return poolWork(*this, sizes); }
OpWork AvgPoolOp::getLocalWork(ArrayRef<int64_t> sizes) { return poolWork(*this, sizes); }

FailureOr<SmallVector<Value>> MaxPoolOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                    const LocalContext &context) {
  return buildWithHalo(*this, builder, SmallVector<Value>(operands), context, -std::numeric_limits<double>::infinity());
}

FailureOr<SmallVector<Value>> AvgPoolOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                    const LocalContext &context) {
  return buildWithHalo(*this, builder, SmallVector<Value>(operands), context, 0);
}

PartitionRule PackedConvOp::getPartitionRule() { return opaqueRule(*this); }
PartitionRule DepthwiseConvOp::getPartitionRule() { return opaqueRule(*this); }
