// Rules of matrix products and attention.
#include "Rules.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;
using shd::FactorKind;
using shd::OpWork;
using shd::PartitionRule;

PartitionRule MatmulOp::getPartitionRule() {
  RuleBuilder builder(*this);
  int64_t rank = cast<RankedTensorType>(getType()).getRank();
  int64_t lhsRank = typeOf(getLhs()).getRank(), rhsRank = typeOf(getRhs()).getRank();
  for (int64_t d = 0; d < rank - 2; ++d) {
    SmallVector<Slot> slots{out(0, d)};
    if (int64_t own = d - (rank - lhsRank); own >= 0)
      slots.push_back(in(0, own));
    if (int64_t own = d - (rank - rhsRank); own >= 0)
      slots.push_back(in(1, own));
    builder.link(slots);
  }
  builder.link({in(0, lhsRank - 2), out(0, rank - 2)});
  builder.link({in(1, rhsRank - 1), out(0, rank - 1)});
  builder.link({in(0, lhsRank - 1), in(1, rhsRank - 2)}, FactorKind::Reduce);
  builder.rule.linearIn = {{0}, {1}};
  return builder.rule;
}

OpWork MatmulOp::getLocalWork(ArrayRef<int64_t> sizes) {
  PartitionRule rule = getPartitionRule();
  OpWork work = shd::defaultWork(*this, rule, sizes);
  OpWork::Matmul dims{1, localSize(rule.operandDims[0].end()[-2], sizes), localSize(rule.operandDims[1].back(), sizes),
                      localSize(rule.operandDims[0].back(), sizes)};
  bool sharedRhs = true;
  for (int64_t d = 0, batch = rule.operandDims[1].size() - 2; d < batch; ++d)
    sharedRhs &= rule.operandDims[1][d].empty();
  int64_t batch = 1;
  for (int64_t d = 0, count = rule.resultDims[0].size() - 2; d < count; ++d)
    batch *= localSize(rule.resultDims[0][d], sizes);
  (sharedRhs ? dims.m : dims.batch) *= batch;
  work.flops = 2.0 * dims.batch * dims.m * dims.n * dims.k;
  work.matmul = dims;
  return work;
}

PartitionRule PackedMatmulOp::getPartitionRule() { return opaqueRule(*this); }

PartitionRule AttentionOp::getPartitionRule() {
  RuleBuilder builder(*this);
  int64_t heads = builder.size(in(0, 1)), kvHeads = builder.size(in(1, 1)), group = heads / kvHeads;
  builder.link({in(0, 0), in(1, 0), in(2, 0), out(0, 0)});
  if (kvHeads > 1) {
    unsigned factor = builder.rule.addFactor(kvHeads);
    for (Slot slot : {in(0, 1), in(1, 1), in(2, 1), out(0, 1)})
      builder.append(slot, factor);
  }
  if (group > 1) {
    unsigned factor = builder.rule.addFactor(group);
    for (Slot slot : {in(0, 1), out(0, 1)})
      builder.append(slot, factor);
  }
  builder.link({in(0, 2), out(0, 2)});
  if (getMask()) {
    // The mask's last dimension is kv_len, which stays whole.
    int64_t rank = typeOf(getMask()).getRank();
    for (int64_t d = 0; d < 3; ++d)
      if (int64_t own = d - (4 - rank); own >= 0 && builder.size(in(3, own)) != 1)
        builder.rule.operandDims[3][own] = builder.rule.resultDims[0][d];
  }
  builder.rule.linearIn = {{2}};
  return builder.rule;
}

/// Two products: scores [q_len, kv_len] and their sum over values.
OpWork AttentionOp::getLocalWork(ArrayRef<int64_t> sizes) {
  PartitionRule rule = getPartitionRule();
  OpWork work = shd::defaultWork(*this, rule, sizes);
  ArrayRef<int64_t> key = typeOf(getKey()).getShape(), value = typeOf(getValue()).getShape();
  OpWork::Matmul dims{localSize(rule.operandDims[0][0], sizes) * localSize(rule.operandDims[0][1], sizes),
                      localSize(rule.operandDims[0][2], sizes), key[2], key[3] + value[3]};
  work.flops = 2.0 * dims.batch * dims.m * dims.n * dims.k;
  work.matmul = dims;
  return work;
}

/// Which keys each query of this device may attend to under a causal mask, its queries being a part of all.
static Value causalMask(AttentionOp op, OpBuilder &builder, int64_t queries, ArrayRef<StringAttr> axes,
                        LocalBuilder &local) {
  int64_t keys = typeOf(op.getKey()).getDimSize(2);
  auto iota = [&](ArrayRef<int64_t> shape, uint64_t axis) -> Value {
    return IotaOp::create(builder, op.getLoc(), RankedTensorType::get(shape, builder.getI64Type()), axis, APFloat(0.0),
                          APFloat(1.0));
  };
  Value first = local.binary<AddOp>(local.place(axes, queries),
                                    local.scalar(builder.getI64Type(), static_cast<int64_t>(op.getCausalOffset())));
  Value query = local.binary<AddOp>(iota({queries, 1}, 0), first);
  return local.compare(Predicate::Ge, query, iota({1, keys}, 1));
}

FailureOr<SmallVector<Value>> AttentionOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                      const shd::LocalContext &context) {
  auto made = shd::cloneLocal(*this, builder, operands, context);
  ArrayRef<StringAttr> axes = context.axesOf(0, 2);
  if (failed(made) || !getCausal() || axes.empty())
    return made;
  LocalBuilder local(builder, getLoc(), context);
  auto attention = cast<AttentionOp>((*made)[0].getDefiningOp());
  builder.setInsertionPoint(attention);
  Value mask = causalMask(*this, builder, typeOf(operands[0]).getDimSize(2), axes, local);
  if (Value own = attention.getMask()) {
    Type element = typeOf(own).getElementType();
    double hidden = -std::numeric_limits<double>::infinity();
    mask =
        element.isInteger(1) ? local.binary<AndOp>(mask, own) : local.select(mask, own, local.scalar(element, hidden));
  }
  attention.getMaskMutable().assign(mask);
  attention.setCausal(false);
  attention.setCausalOffset(0);
  builder.setInsertionPointAfter(attention);
  return made;
}

PartitionRule RotaryOp::getPartitionRule() {
  RuleBuilder builder(*this);
  int64_t rank = cast<RankedTensorType>(getType()).getRank();
  for (int64_t d = 0; d < rank - 1; ++d)
    builder.link({in(0, d), out(0, d)});
  builder.follow(1, 0, rank - 1);
  builder.follow(2, 0, rank - 1);
  builder.rule.linearIn = {{0}};
  return builder.rule;
}
