#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_FOLDINTOCONVS
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// The convolution and the other operand of an operator that alone reads a convolution.
std::pair<ConvOp, Value> convOperand(Value lhs, Value rhs) {
  for (auto [a, b] : {std::pair(lhs, rhs), std::pair(rhs, lhs)})
    if (auto conv = a.getDefiningOp<ConvOp>(); conv && conv->hasOneUse() && !conv.getRelu())
      return {conv, b};
  return {nullptr, nullptr};
}

Value reshaped(Value value, ArrayRef<int64_t> shape, PatternRewriter &rewriter) {
  return rewriter.createOrFold<ReshapeOp>(value.getLoc(), RankedTensorType::get(shape, elementOf(value)), value);
}

/// A value known when the plan is made that has one number per output channel, or one for all, as [channels] or [1]; null
/// otherwise.
Value perChannel(Value value, ConvOp conv, PatternRewriter &rewriter) {
  ArrayRef<int64_t> result = shapeOf(conv.getResult()), shape = shapeOf(value);
  if (shape.size() > result.size() || !isInitTime(value))
    return nullptr;
  int64_t channels = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    size_t dim = result.size() - shape.size() + i;
    if (shape[i] != 1 && (dim != 1 || shape[i] != result[1]))
      return nullptr;
    channels *= shape[i];
  }
  return reshaped(value, {channels}, rewriter);
}

void replaceConv(Operation *op, ConvOp conv, Value weight, Value bias, PatternRewriter &rewriter) {
  rewriter.replaceOpWithNewOp<ConvOp>(op, conv.getType(), conv.getInput(), weight, bias, conv.getStridesAttr(),
                                      conv.getDilationsAttr(), conv.getPadsBeginAttr(), conv.getPadsEndAttr(),
                                      conv.getGroupsAttr(), conv.getReluAttr());
}

struct FoldScale : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    auto [conv, factor] = convOperand(op.getLhs(), op.getRhs());
    Value flat = conv && conv.getType() == op.getType() && isInitTime(conv.getWeight())
                     ? perChannel(factor, conv, rewriter)
                     : Value();
    if (!flat)
      return failure();
    SmallVector<int64_t> filters(rankOf(conv.getWeight()), 1);
    filters[0] = shapeOf(flat)[0];
    Value weight = rewriter.createOrFold<MulOp>(op.getLoc(), conv.getWeight(), reshaped(flat, filters, rewriter));
    Value bias = conv.getBias() ? rewriter.createOrFold<MulOp>(op.getLoc(), conv.getBias(), flat) : Value();
    replaceConv(op, conv, weight, bias, rewriter);
    return success();
  }
};

struct FoldShift : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &rewriter) const override {
    auto [conv, term] = convOperand(op.getLhs(), op.getRhs());
    Value flat = conv && conv.getType() == op.getType() ? perChannel(term, conv, rewriter) : Value();
    if (!flat)
      return failure();
    auto type = RankedTensorType::get({shapeOf(conv.getResult())[1]}, elementOf(term));
    Value bias = conv.getBias() ? rewriter.createOrFold<AddOp>(op.getLoc(), conv.getBias(), flat)
                                : rewriter.createOrFold<BroadcastOp>(op.getLoc(), type, flat);
    replaceConv(op, conv, conv.getWeight(), bias, rewriter);
    return success();
  }
};

struct FoldRelu : OpRewritePattern<ReluOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReluOp op, PatternRewriter &rewriter) const override {
    auto conv = op.getInput().getDefiningOp<ConvOp>();
    if (!conv || !conv->hasOneUse())
      return failure();
    rewriter.modifyOpInPlace(conv, [&] { conv.setRelu(true); });
    rewriter.replaceOp(op, conv);
    return success();
  }
};

struct FoldIntoConvsPass : mpopt::nn::impl::FoldIntoConvsBase<FoldIntoConvsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldScale, FoldShift, FoldRelu>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
