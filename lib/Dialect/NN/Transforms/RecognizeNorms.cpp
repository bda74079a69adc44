#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_RECOGNIZENORMS
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// n and e of n / sqrt(e), in any of the ways to write it.
struct Normalized {
  Value numerator, underRoot;
};

Value rootOf(Value value) {
  auto root = value.getDefiningOp<SqrtOp>();
  return root ? root.getInput() : Value();
}

/// e of 1 / sqrt(e).
Value inverseRootOf(Value value) {
  if (auto rsqrt = value.getDefiningOp<RsqrtOp>())
    return rsqrt.getInput();
  if (auto reciprocal = value.getDefiningOp<ReciprocalOp>())
    return rootOf(reciprocal.getInput());
  if (auto div = value.getDefiningOp<DivOp>(); div && splatOf(div.getLhs()) == 1.0)
    return rootOf(div.getRhs());
  if (auto pow = value.getDefiningOp<PowOp>(); pow && splatOf(pow.getRhs()) == -0.5)
    return pow.getLhs();
  return nullptr;
}

std::optional<Normalized> matchNormalized(Operation *op) {
  if (auto div = dyn_cast<DivOp>(op))
    if (Value under = rootOf(div.getRhs()))
      return Normalized{div.getLhs(), under};
  if (auto mul = dyn_cast<MulOp>(op))
    for (auto [x, r] : {std::pair(mul.getLhs(), mul.getRhs()), std::pair(mul.getRhs(), mul.getLhs())})
      if (Value under = inverseRootOf(r))
        return Normalized{x, under};
  return std::nullopt;
}

/// x of x - mean(x), the mean over the dimensions from `axis` on.
Value matchCentered(Value value, int64_t axis) {
  auto sub = value.getDefiningOp<SubOp>();
  auto mean = sub ? matchMean(sub.getRhs()) : std::nullopt;
  return mean && mean->axis == axis && mean->value == sub.getLhs() ? sub.getLhs() : Value();
}

/// d / sqrt(mean(d * d) + epsilon): a layer norm of x when d is x - mean(x), else an RMS norm of d.
struct RecognizeNorm : RewritePattern {
  RecognizeNorm(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    auto normalized = matchNormalized(op);
    auto offset = normalized ? matchOffset(normalized->underRoot) : std::nullopt;
    auto mean = offset ? matchMean(offset->value) : std::nullopt;
    if (!mean || matchSquare(mean->value) != normalized->numerator ||
        normalized->numerator.getType() != op->getResult(0).getType())
      return failure();
    Value centered = matchCentered(normalized->numerator, mean->axis);
    rewriter.replaceOpWithNewOp<LayerNormOp>(
        op, op->getResult(0).getType(), centered ? centered : normalized->numerator, Value(), Value(),
        rewriter.getI64IntegerAttr(mean->axis), rewriter.getF64FloatAttr(offset->term),
        centered ? UnitAttr() : rewriter.getUnitAttr());
    return success();
  }
};

/// The norm and the other operand of an operator one of whose operands is a norm that nothing else reads.
std::pair<LayerNormOp, Value> normOperand(Value lhs, Value rhs) {
  for (auto [a, b] : {std::pair(lhs, rhs), std::pair(rhs, lhs)})
    if (auto norm = a.getDefiningOp<LayerNormOp>(); norm && norm->hasOneUse())
      return {norm, b};
  return {nullptr, nullptr};
}

/// Whether a value broadcasts to the dimensions that the norm normalises.
bool fitsNorm(LayerNormOp norm, Value value) {
  ArrayRef<int64_t> shape = shapeOf(norm.getInput()).drop_front(norm.getAxis());
  auto both = broadcastShapes(shape, shapeOf(value));
  return both && ArrayRef<int64_t>(*both) == shape;
}

/// norm(x) * scale, and norm(x) + bias.
template <typename Op> struct AbsorbParameter : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    constexpr bool isScale = std::is_same_v<Op, MulOp>;
    auto [norm, value] = normOperand(op.getLhs(), op.getRhs());
    if (!norm || norm.getBias() || (isScale && norm.getScale()) || (!isScale && norm.getRms()) ||
        !fitsNorm(norm, value))
      return failure();
    rewriter.replaceOpWithNewOp<LayerNormOp>(op, op.getType(), norm.getInput(), isScale ? value : norm.getScale(),
                                             isScale ? Value() : value, norm.getAxisAttr(), norm.getEpsilonAttr(),
                                             norm.getRmsAttr());
    return success();
  }
};

struct RecognizeNormsPass : mpopt::nn::impl::RecognizeNormsBase<RecognizeNormsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeNorm, AbsorbParameter<MulOp>, AbsorbParameter<AddOp>>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
