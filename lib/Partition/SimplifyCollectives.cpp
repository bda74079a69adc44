#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Partition/Passes.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::coll;

namespace mpopt::partition {
#define GEN_PASS_DEF_SIMPLIFYCOLLECTIVES
#include "mpopt/Partition/Passes.h.inc"

namespace {

/// Whether two operations work over the same groups, in whatever order of the devices.
template <typename A, typename B> bool sameGroups(A a, B b) {
  return a.getMesh() == b.getMesh() && a.getAxes().size() == b.getAxes().size() &&
         llvm::all_of(a.getAxes(), [&](Attribute axis) { return llvm::is_contained(b.getAxes(), axis); });
}

/// The same groups in the same order.
template <typename A, typename B> bool sameOrder(A a, B b) {
  return a.getMesh() == b.getMesh() && a.getAxes() == b.getAxes();
}

int64_t sizeAt(Value value, int64_t dim) { return cast<RankedTensorType>(value.getType()).getDimSize(dim); }

/// slice(all_reduce(x)) -> reduce_scatter(x)
struct ReduceThenSlice : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SliceOp op, PatternRewriter &rewriter) const override {
    auto reduce = op.getInput().getDefiningOp<AllReduceOp>();
    if (!reduce || !reduce->hasOneUse() || !sameGroups(op, reduce))
      return failure();
    rewriter.replaceOpWithNewOp<ReduceScatterOp>(op, op.getType(), reduce.getInput(), op.getDim(), op.getMesh(),
                                                 op.getAxes(), reduce.getReduce());
    return success();
  }
};

/// slice(all_gather(x)) -> x, along one dimension
struct GatherThenSlice : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SliceOp op, PatternRewriter &rewriter) const override {
    auto gather = op.getInput().getDefiningOp<AllGatherOp>();
    if (!gather || !sameOrder(op, gather) || gather.getDim() != op.getDim() ||
        gather.getInput().getType() != op.getType())
      return failure();
    rewriter.replaceOp(op, gather.getInput());
    return success();
  }
};

/// all_gather(slice(x)) -> x, along one dimension
struct SliceThenGather : OpRewritePattern<AllGatherOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AllGatherOp op, PatternRewriter &rewriter) const override {
    auto slice = op.getInput().getDefiningOp<SliceOp>();
    if (!slice || !sameOrder(op, slice) || slice.getDim() != op.getDim() || slice.getInput().getType() != op.getType())
      return failure();
    rewriter.replaceOp(op, slice.getInput());
    return success();
  }
};

/// all_reduce(x) + all_reduce(y) -> all_reduce(x + y)
template <typename Op> struct SumOfReductions : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    auto lhs = op.getLhs().template getDefiningOp<AllReduceOp>();
    auto rhs = op.getRhs().template getDefiningOp<AllReduceOp>();
    if (!lhs || !rhs || lhs == rhs || !lhs->hasOneUse() || !rhs->hasOneUse() || !sameGroups(lhs, rhs) ||
        lhs.getReduce() != shd::ReduceKind::Sum || rhs.getReduce() != shd::ReduceKind::Sum ||
        lhs.getType() != rhs.getType())
      return failure();
    Value sum = Op::create(rewriter, op.getLoc(), lhs.getInput(), rhs.getInput());
    rewriter.replaceOpWithNewOp<AllReduceOp>(op, op.getType(), sum, lhs.getMesh(), lhs.getAxes(), lhs.getReduce());
    return success();
  }
};

/// all_reduce(keep_first(x)) -> x
struct KeepThenReduce : OpRewritePattern<AllReduceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AllReduceOp op, PatternRewriter &rewriter) const override {
    auto keep = op.getInput().getDefiningOp<KeepFirstOp>();
    if (!keep || !sameGroups(op, keep) || op.getReduce() != shd::ReduceKind::Sum)
      return failure();
    rewriter.replaceOp(op, keep.getInput());
    return success();
  }
};

/// A slice of a value that ends at `size` is zero beyond it already; so is what has been masked once.
struct MaskOfZeros : OpRewritePattern<MaskPadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MaskPadOp op, PatternRewriter &rewriter) const override {
    auto slice = op.getInput().getDefiningOp<SliceOp>();
    // A slice of a gathered value may yet give way to the value before the gather, whose padding is anything.
    bool zero = slice && !slice.getInput().getDefiningOp<AllGatherOp>() && op.getValue().isZero() &&
                sameOrder(op, slice) && slice.getDim() == op.getDim() &&
                sizeAt(slice.getInput(), op.getDim()) == static_cast<int64_t>(op.getSize());
    auto mask = op.getInput().getDefiningOp<MaskPadOp>();
    bool twice = mask && sameOrder(op, mask) && mask.getDim() == op.getDim() && mask.getSize() == op.getSize() &&
                 mask.getValue() == op.getValue();
    if (!zero && !twice)
      return failure();
    rewriter.replaceOp(op, op.getInput());
    return success();
  }
};

struct SimplifyCollectivesPass : impl::SimplifyCollectivesBase<SimplifyCollectivesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ReduceThenSlice, GatherThenSlice, SliceThenGather, SumOfReductions<nn::AddOp>,
                 SumOfReductions<nn::SubOp>, KeepThenReduce, MaskOfZeros>(&getContext());
    GreedyRewriteConfig config;
    config.enableFolding(false).enableConstantCSE(false);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};

} // namespace
} // namespace mpopt::partition
