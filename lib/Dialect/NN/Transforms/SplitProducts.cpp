#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_SPLITPRODUCTS
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// A run of elements along one dimension.
struct Run {
  int64_t dim, start, size;
};

/// What lies between a product and the slices of it, and all that reads the end of it.
struct Fused {
  MatmulOp product;
  SmallVector<Operation *> chain; ///< Each the only reader of the one before; adds of constants, reshapes, transposes.
  SmallVector<SliceOp> slices;
};

/// The one dimension that a slice cuts, in steps of one; nothing where it cuts several or none.
std::optional<Run> runOf(SliceOp slice) {
  std::optional<Run> run;
  ArrayRef<int64_t> shape = shapeOf(slice.getInput());
  for (auto [d, size] : llvm::enumerate(shape)) {
    if (slice.getSteps()[d] != 1)
      return std::nullopt;
    if (slice.getSizes()[d] == size)
      continue;
    if (run)
      return std::nullopt;
    run = Run{static_cast<int64_t>(d), slice.getStarts()[d], slice.getSizes()[d]};
  }
  return run;
}

/// The slices that are all that reads a value; none where something else does, or where two of them read the same.
SmallVector<SliceOp> slicesOf(Value value) {
  SmallVector<SliceOp> slices;
  SmallVector<std::pair<int64_t, int64_t>> ends;
  for (Operation *user : value.getUsers()) {
    auto slice = dyn_cast<SliceOp>(user);
    auto run = slice ? runOf(slice) : std::nullopt;
    if (!run || run->dim != (slices.empty() ? run->dim : runOf(slices.front())->dim))
      return {};
    slices.push_back(slice);
    ends.push_back({run->start, run->start + run->size});
  }
  llvm::sort(ends);
  for (size_t i = 1; i < ends.size(); ++i)
    if (ends[i].first < ends[i - 1].second)
      return {};
  return slices;
}

bool mayLieBetween(Operation *op) {
  if (isa<ReshapeOp, TransposeOp>(op))
    return true;
  auto add = dyn_cast<AddOp>(op);
  return add && (isInitTime(add.getLhs()) || isInitTime(add.getRhs())) &&
         llvm::all_of(add->getOperands(), [&](Value operand) { return rankOf(operand) <= rankOf(add.getResult()); });
}

std::optional<Fused> matchFused(MatmulOp product) {
  if (rankOf(product.getRhs()) != 2 || !isInitTime(product.getRhs()) || isInitTime(product))
    return std::nullopt;
  Fused fused{product, {}, {}};
  for (Value value = product.getResult();;) {
    fused.slices = slicesOf(value);
    if (fused.slices.size() > 1)
      return fused;
    if (!value.hasOneUse() || !mayLieBetween(*value.user_begin()))
      return std::nullopt;
    fused.chain.push_back(*value.user_begin());
    value = fused.chain.back()->getResult(0);
    if (shapeOf(value).empty())
      return std::nullopt;
  }
}

/// The run of a reshape's input that a run of its result is: where the result's dimension is the major part of one of the input's.
std::optional<Run> beforeReshape(ReshapeOp op, Run run) {
  ArrayRef<int64_t> in = shapeOf(op.getInput()), out = shapeOf(op.getResult());
  int64_t major = 1, inMajor = 1, dim = 0;
  for (int64_t d = 0; d < run.dim; ++d)
    major *= out[d];
  for (; dim < static_cast<int64_t>(in.size()) && (inMajor < major || in[dim] == 1); ++dim)
    inMajor *= in[dim];
  if (inMajor != major || dim == static_cast<int64_t>(in.size()) || in[dim] % out[run.dim] != 0)
    return std::nullopt;
  int64_t minor = in[dim] / out[run.dim];
  return Run{dim, run.start * minor, run.size * minor};
}

std::optional<Run> before(Operation *op, Run run) {
  if (auto reshape = dyn_cast<ReshapeOp>(op))
    return beforeReshape(reshape, run);
  if (auto transpose = dyn_cast<TransposeOp>(op))
    return Run{transpose.getPermutation()[run.dim], run.start, run.size};
  return run;
}

/// The run at every place of the chain, from the product's result on; nothing where a slice is no run of whole columns.
std::optional<SmallVector<Run>> runsThrough(Fused &fused, SliceOp slice) {
  SmallVector<Run> runs{*runOf(slice)};
  for (Operation *op : llvm::reverse(fused.chain)) {
    std::optional<Run> run = before(op, runs.back());
    if (!run)
      return std::nullopt;
    runs.push_back(*run);
  }
  std::reverse(runs.begin(), runs.end());
  if (runs.front().dim != rankOf(fused.product.getResult()) - 1)
    return std::nullopt;
  return runs;
}

class Splitter {
public:
  Splitter(const Fused &fused, PatternRewriter &rewriter) : fused(fused), rewriter(rewriter) {}

  Value part(ArrayRef<Run> runs) {
    MatmulOp product = fused.product;
    Value weight = cut(product.getRhs(), 1, runs.front());
    Value value = MatmulOp::create(rewriter, product.getLoc(), product.getLhs(), weight);
    for (auto [op, run] : llvm::zip_equal(fused.chain, runs.drop_front()))
      value = repeat(op, value, run);
    return value;
  }

private:
  Value cut(Value value, int64_t dim, const Run &run) {
    SmallVector<int64_t> starts(rankOf(value), 0), sizes(shapeOf(value)), steps(rankOf(value), 1);
    starts[dim] = run.start;
    sizes[dim] = run.size;
    return rewriter.createOrFold<SliceOp>(value.getLoc(), value, starts, sizes, steps);
  }

  Value repeat(Operation *op, Value value, const Run &run) {
    if (auto reshape = dyn_cast<ReshapeOp>(op)) {
      SmallVector<int64_t> shape(shapeOf(reshape.getResult()));
      shape[run.dim] = run.size;
      return rewriter.createOrFold<ReshapeOp>(op->getLoc(), reshape.getType().clone(shape), value);
    }
    if (auto transpose = dyn_cast<TransposeOp>(op))
      return TransposeOp::create(rewriter, op->getLoc(), value, transpose.getPermutation());
    Value term = op->getOperand(isInitTime(op->getOperand(0)) ? 0 : 1);
    int64_t own = run.dim - (rankOf(op->getResult(0)) - rankOf(term));
    if (own >= 0 && shapeOf(term)[own] != 1)
      term = cut(term, own, run);
    return AddOp::create(rewriter, op->getLoc(), value, term);
  }

  const Fused &fused;
  PatternRewriter &rewriter;
};

/// slice(x W) is x slice(W): each part of a fused projection becomes a product of its own, whose columns can be split by heads.
struct SplitProduct : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    auto fused = matchFused(op);
    if (!fused)
      return failure();
    SmallVector<SmallVector<Run>> runs;
    for (SliceOp slice : fused->slices) {
      auto own = runsThrough(*fused, slice);
      if (!own)
        return failure();
      runs.push_back(std::move(*own));
    }
    rewriter.setInsertionPoint(fused->chain.empty() ? op.getOperation() : fused->chain.back());
    for (auto [slice, own] : llvm::zip_equal(fused->slices, runs))
      rewriter.replaceOp(slice, Splitter(*fused, rewriter).part(own));
    return success();
  }
};

struct SplitProductsPass : mpopt::nn::impl::SplitProductsBase<SplitProductsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SplitProduct>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
