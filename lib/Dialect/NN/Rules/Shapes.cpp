// Rules of operators that move elements.
#include "Rules.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;
using shd::FactorKind;
using shd::PartitionRule;

namespace {

/// Common factors of the dimensions of a reshape: the products of trailing dimensions, on both sides, cut the elements into
/// blocks; where these products divide each other, their ratios are the factors.
class ReshapeFactors {
public:
  explicit ReshapeFactors(ReshapeOp op)
      : builder(op), inShape(typeOf(op.getInput()).getShape()), outShape(op.getType().getShape()) {}

  PartitionRule build() {
    int64_t inEnd = inShape.size(), outEnd = outShape.size();
    while (inEnd > 0 && outEnd > 0) {
      int64_t inBegin = inEnd - 1, outBegin = outEnd - 1;
      int64_t inSize = inShape[inBegin], outSize = outShape[outBegin];
      while (inSize != outSize) {
        if (inSize < outSize && inBegin > 0)
          inSize *= inShape[--inBegin];
        else if (outSize < inSize && outBegin > 0)
          outSize *= outShape[--outBegin];
        else
          return builder.rule; // an empty tensor
      }
      if (inSize > 0)
        group(inBegin, inEnd, outBegin, outEnd);
      inEnd = inBegin;
      outEnd = outBegin;
    }
    builder.rule.linearIn = {{0}};
    return builder.rule;
  }

private:
  static void cut(ArrayRef<int64_t> shape, int64_t begin, int64_t end, llvm::SmallVectorImpl<int64_t> &cuts) {
    int64_t product = 1;
    for (int64_t d = end - 1; d >= begin; --d)
      cuts.push_back(product *= shape[d]);
  }

  void group(int64_t inBegin, int64_t inEnd, int64_t outBegin, int64_t outEnd) {
    SmallVector<int64_t> cuts{1};
    cut(inShape, inBegin, inEnd, cuts);
    cut(outShape, outBegin, outEnd, cuts);
    llvm::sort(cuts);
    cuts.erase(llvm::unique(cuts), cuts.end());
    for (size_t i = 1; i < cuts.size(); ++i)
      if (cuts[i] % cuts[i - 1] != 0)
        return;
    SmallVector<std::pair<int64_t, unsigned>> factors; // product past the factor, its number; minor first
    for (size_t i = 1; i < cuts.size(); ++i)
      factors.push_back({cuts[i], builder.rule.addFactor(cuts[i] / cuts[i - 1])});
    assign(inShape, inBegin, inEnd, factors, /*isResult=*/false);
    assign(outShape, outBegin, outEnd, factors, /*isResult=*/true);
  }

  void assign(ArrayRef<int64_t> shape, int64_t begin, int64_t end, ArrayRef<std::pair<int64_t, unsigned>> factors,
              bool isResult) {
    int64_t product = 1;
    size_t next = 0;
    for (int64_t d = end - 1; d >= begin; --d) {
      product *= shape[d];
      SmallVector<unsigned> minorFirst;
      for (; next < factors.size() && factors[next].first <= product; ++next)
        minorFirst.push_back(factors[next].second);
      for (unsigned factor : llvm::reverse(minorFirst))
        builder.append(Slot{isResult, 0, d}, factor);
    }
  }

  RuleBuilder builder;
  ArrayRef<int64_t> inShape, outShape;
};

} // namespace

PartitionRule ReshapeOp::getPartitionRule() { return ReshapeFactors(*this).build(); }

PartitionRule TransposeOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (auto [d, source] : llvm::enumerate(getPermutation()))
    builder.link({in(0, source), out(0, d)});
  builder.rule.linearIn = {{0}};
  return builder.rule;
}

PartitionRule BroadcastOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (int64_t d = 0, rank = getType().getRank(); d < rank; ++d)
    builder.link({out(0, d)});
  builder.follow(0);
  builder.rule.linearIn = {{0}};
  return builder.rule;
}

PartitionRule SliceOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (int64_t d = 0, rank = getType().getRank(); d < rank; ++d)
    if (getStarts()[d] == 0 && getSteps()[d] == 1 && getSizes()[d] == typeOf(getInput()).getDimSize(d))
      builder.link({in(0, d), out(0, d)});
  builder.rule.linearIn = {{0}};
  return builder.rule;
}

/// Dimensions that may be split are taken whole, of whatever size they are here.
FailureOr<SmallVector<Value>> SliceOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                  const shd::LocalContext &context) {
  auto made = shd::cloneLocal(*this, builder, operands, context);
  if (succeeded(made))
    cast<SliceOp>((*made)[0].getDefiningOp()).setSizes(typeOf((*made)[0]).getShape());
  return made;
}

PartitionRule SliceAtOp::getPartitionRule() { return opaqueRule(*this); }

PartitionRule ConcatOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (int64_t d = 0, rank = cast<RankedTensorType>(getType()).getRank(); d < rank; ++d) {
    if (d == static_cast<int64_t>(getAxis()))
      continue;
    SmallVector<Slot> slots{out(0, d)};
    for (unsigned t = 0; t < getInputs().size(); ++t)
      slots.push_back(in(t, d));
    builder.link(slots);
  }
  builder.rule.linearIn.emplace_back();
  for (unsigned t = 0; t < getInputs().size(); ++t)
    builder.rule.linearIn.back().push_back(t);
  return builder.rule;
}

PartitionRule PadOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (int64_t d = 0, rank = cast<RankedTensorType>(getType()).getRank(); d < rank; ++d)
    if (getLow()[d] == 0 && getHigh()[d] == 0)
      builder.link({in(0, d), out(0, d)});
  if (getValue().isZero())
    builder.rule.linearIn = {{0}};
  return builder.rule;
}

PartitionRule GatherOp::getPartitionRule() {
  RuleBuilder builder(*this);
  int64_t axis = getAxis(), indexRank = typeOf(getIndices()).getRank(), rank = typeOf(getInput()).getRank();
  for (int64_t d = 0; d < axis; ++d)
    builder.link({in(0, d), out(0, d)});
  for (int64_t d = 0; d < indexRank; ++d)
    builder.link({in(1, d), out(0, axis + d)});
  for (int64_t d = axis + 1; d < rank; ++d)
    builder.link({in(0, d), out(0, d - 1 + indexRank)});
  if (!getOffset() && !getElementTypeOrSelf(getType()).isInteger(1)) // truth values do not add up
    builder.link({in(0, axis)}, FactorKind::Reduce);
  builder.rule.linearIn = {{0}};
  return builder.rule;
}

/// Only the rows that are looked up are read.
shd::OpWork GatherOp::getLocalWork(ArrayRef<int64_t> sizes) {
  shd::OpWork work = shd::defaultWork(*this, getPartitionRule(), sizes);
  work.bytesRead = std::min(work.bytesRead, 2 * work.bytesWritten);
  work.flops = std::min(work.flops, work.bytesWritten / elementBytes(getInput()));
  return work;
}

/// Each device looks up the rows that it has and adds nothing for the others. Indices in padding could lie anywhere: they become 0.
FailureOr<SmallVector<Value>> GatherOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                   const shd::LocalContext &context) {
  ArrayRef<StringAttr> axes = context.axesOf(0, getAxis());
  if (axes.empty())
    return cloneMasked(*this, builder, operands, context, 1, 0);
  LocalBuilder local(builder, getLoc(), context);
  Type element = typeOf(operands[1]).getElementType();
  Value rows = local.scalar(element, typeOf(getInput()).getDimSize(getAxis()));
  Value isNegative = local.compare(Predicate::Lt, operands[1], local.scalar(element, 0));
  Value indices = local.select(isNegative, local.binary<AddOp>(operands[1], rows), operands[1]);
  Value offset = local.place(axes, typeOf(operands[0]).getDimSize(getAxis()));
  if (typeOf(offset).getElementType() != element)
    offset = CastOp::create(builder, getLoc(), RankedTensorType::get({}, element), offset);
  return SmallVector<Value>{GatherOp::create(builder, getLoc(), operands[0], indices, offset, getAxis())};
}

PartitionRule GatherElementsOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (int64_t d = 0, rank = typeOf(getInput()).getRank(); d < rank; ++d)
    if (d != static_cast<int64_t>(getAxis()) && builder.size(in(0, d)) == builder.size(in(1, d)))
      builder.link({in(0, d), in(1, d), out(0, d)});
    else
      builder.link({in(1, d), out(0, d)},
                   d == static_cast<int64_t>(getAxis()) ? FactorKind::Parallel : FactorKind::NeedReplicate);
  builder.rule.linearIn = {{0}};
  return builder.rule;
}

FailureOr<SmallVector<Value>> GatherElementsOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                           const shd::LocalContext &context) {
  return cloneMasked(*this, builder, operands, context, 1, 0);
}

PartitionRule GatherNdOp::getPartitionRule() {
  RuleBuilder builder(*this);
  int64_t batch = getBatchDims(), indexRank = typeOf(getIndices()).getRank(), rank = typeOf(getInput()).getRank();
  int64_t depth = typeOf(getIndices()).getShape().back();
  for (int64_t d = 0; d < batch; ++d)
    builder.link({in(0, d), in(1, d), out(0, d)});
  for (int64_t d = batch; d + 1 < indexRank; ++d)
    builder.link({in(1, d), out(0, d)});
  for (int64_t d = batch + depth; d < rank; ++d)
    builder.link({in(0, d), out(0, d - depth - batch + indexRank - 1)});
  builder.rule.linearIn = {{0}};
  return builder.rule;
}

FailureOr<SmallVector<Value>> GatherNdOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                     const shd::LocalContext &context) {
  return cloneMasked(*this, builder, operands, context, 1, 0);
}

PartitionRule ScatterNdOp::getPartitionRule() {
  RuleBuilder builder(*this);
  int64_t indexRank = typeOf(getIndices()).getRank(), rank = typeOf(getInput()).getRank();
  int64_t depth = typeOf(getIndices()).getShape().back();
  for (int64_t d = depth; d < rank; ++d)
    builder.link({in(0, d), in(2, d - depth + indexRank - 1), out(0, d)});
  if (!getReduction() || *getReduction() == ReduceKind::Sum)
    builder.rule.linearIn = {{0, 2}};
  return builder.rule;
}

FailureOr<SmallVector<Value>> ScatterNdOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                      const shd::LocalContext &context) {
  return cloneMasked(*this, builder, operands, context, 1, 0);
}
