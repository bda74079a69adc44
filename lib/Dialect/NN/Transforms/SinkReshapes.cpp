#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_SINKRESHAPES
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// A reshape that merges leading dimensions and keeps the last `kept` ones; the last of all may have been merged as well, and then counts
/// as one of `from`.
struct Merge {
  Value input;
  SmallVector<int64_t> from, to;
  int64_t kept = 0;

  ArrayRef<int64_t> leadFrom() const { return ArrayRef(from).drop_back(kept); }
  ArrayRef<int64_t> leadTo() const { return ArrayRef(to).drop_back(kept); }
  /// Whether two values are merged in the same way up to the dimensions that both keep.
  bool agrees(const Merge &other) const { return leadFrom() == other.leadFrom() && leadTo() == other.leadTo(); }
};

/// Makes the dimensions at the end of `from` that make up a last one of `size` one dimension.
void joinLast(SmallVector<int64_t> &from, int64_t size) {
  int64_t product = 1;
  for (size_t count = from.size(); count-- > 0 && product < size;)
    if ((product *= from[count]) == size) {
      from.truncate(count);
      from.push_back(size);
    }
}

std::optional<Merge> matchMerge(Value value) {
  auto op = value.getDefiningOp<ReshapeOp>();
  if (!op || llvm::is_contained(shapeOf(op), 0) || shapeOf(op).empty())
    return std::nullopt;
  Merge merge{op.getInput(), SmallVector<int64_t>(shapeOf(op.getInput())), SmallVector<int64_t>(shapeOf(op)), 0};
  joinLast(merge.from, merge.to.back());
  size_t rank = merge.to.size();
  if (merge.from.size() <= rank)
    return std::nullopt;
  while (merge.kept < static_cast<int64_t>(rank) &&
         merge.from[merge.from.size() - 1 - merge.kept] == merge.to[rank - 1 - merge.kept])
    ++merge.kept;
  // Where all is kept only ones are lost. What needs the longest to find out comes last.
  bool loses = merge.kept > 0 && merge.kept < static_cast<int64_t>(rank);
  return loses && !isInitTime(op) ? std::optional(merge) : std::nullopt;
}

bool isUnary(Operation *op) {
  return isa<NegOp, AbsOp, SignOp, ExpOp, LogOp, SqrtOp, RsqrtOp, ReciprocalOp, SinOp, CosOp, TanhOp, ErfOp, FloorOp,
             CeilOp, RoundOp, SigmoidOp, ReluOp, SiluOp, SoftplusOp, NotOp, GeluOp, LeakyReluOp, EluOp, HardSigmoidOp,
             IsNanOp, CastOp>(op);
}

bool isBroadcasting(Operation *op) {
  return isa<AddOp, SubOp, MulOp, DivOp, PowOp, MaxOp, MinOp, ModOp, AndOp, OrOp, XorOp, CompareOp, SelectOp>(op);
}

/// The number of last dimensions that an operator must find unmerged when it works on a merged first operand; nothing where it cannot
/// work before the merge.
std::optional<int64_t> dimsNeeded(Operation *op) {
  auto from = [&](int64_t axis) { return rankOf(op->getOperand(0)) - axis; };
  if (isUnary(op) || isBroadcasting(op))
    return 0;
  if (auto matmul = dyn_cast<MatmulOp>(op))
    return rankOf(matmul.getRhs()) == 2 ? std::optional<int64_t>(1) : std::nullopt;
  if (auto softmax = dyn_cast<SoftmaxOp>(op))
    return from(softmax.getAxis());
  if (auto topK = dyn_cast<TopKOp>(op))
    return from(topK.getAxis());
  if (auto norm = dyn_cast<LayerNormOp>(op))
    return from(norm.getAxis());
  if (auto reduce = dyn_cast<ReduceOp>(op); reduce && !reduce.getAxes().empty())
    return from(*llvm::min_element(reduce.getAxes()));
  if (auto slice = dyn_cast<SliceOp>(op)) {
    int64_t whole = 0;
    ArrayRef<int64_t> shape = shapeOf(slice.getInput());
    while (whole < static_cast<int64_t>(shape.size()) && slice.getSizes()[whole] == shape[whole] &&
           slice.getSteps()[whole] == 1)
      ++whole;
    return from(whole);
  }
  return std::nullopt;
}

/// The shapes that operands have before the merge, empty for those that stay as they are; nothing where one stands in the way: each is
/// merged alike, or broadcasts from a constant over what is merged.
std::optional<SmallVector<SmallVector<int64_t>>> shapesBefore(Operation *op, const Merge &merge) {
  SmallVector<SmallVector<int64_t>> shapes;
  for (OpOperand &operand : op->getOpOperands()) {
    ArrayRef<int64_t> shape = shapeOf(operand.get());
    SmallVector<int64_t> &before = shapes.emplace_back();
    bool meets = operand.getOperandNumber() == 0 || isBroadcasting(op);
    auto own = static_cast<int64_t>(shape.size());
    if (!meets || (isBroadcasting(op) && own <= merge.kept))
      continue;
    if (auto other = matchMerge(operand.get()); other && other->agrees(merge)) {
      before = other->from;
      continue;
    }
    bool isNarrow = llvm::all_of(shape.drop_back(merge.kept), [](int64_t size) { return size == 1; });
    if (!isBroadcasting(op) || !isNarrow || !isInitTime(operand.get()))
      return std::nullopt;
    before.assign(merge.leadFrom().size(), 1);
    llvm::append_range(before, shape.take_back(merge.kept));
  }
  return shapes;
}

/// op(merge(x)) is merge(op(x)): leading dimensions stay apart, so that batch and sequence can be split each on its own.
struct SinkReshape : RewritePattern {
  SinkReshape(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    std::optional<int64_t> needed = dimsNeeded(op);
    if (!needed)
      return failure();
    std::optional<Merge> merge = findMerge(op);
    if (!merge || merge->kept < *needed)
      return failure();
    auto shapes = shapesBefore(op, *merge);
    if (!shapes)
      return failure();
    SmallVector<Value> operands(op->getOperands());
    for (auto [operand, shape] : llvm::zip_equal(operands, *shapes))
      if (!shape.empty()) {
        auto inner = matchMerge(operand);
        auto type = cast<RankedTensorType>(operand.getType()).clone(shape);
        operand = rewriter.createOrFold<ReshapeOp>(op->getLoc(), type, inner ? inner->input : operand);
      }
    rewriter.replaceOp(op, merged(op, build(op, operands, *merge, rewriter), rewriter));
    return success();
  }

private:
  static std::optional<Merge> findMerge(Operation *op) {
    for (Value operand : isBroadcasting(op) ? op->getOperands() : op->getOperands().take_front(1))
      if (std::optional<Merge> merge = matchMerge(operand);
          merge && (!isBroadcasting(op) || shapeOf(operand).size() == shapeOf(op->getResult(0)).size()))
        return merge;
    return std::nullopt;
  }

  /// The operator on unmerged operands: its axes count from the end as before.
  static Operation *build(Operation *op, ArrayRef<Value> operands, const Merge &merge, PatternRewriter &rewriter) {
    auto shift = static_cast<int64_t>(merge.from.size()) - static_cast<int64_t>(merge.to.size());
    OperationState state(op->getLoc(), op->getName(), operands, {}, op->getDiscardableAttrDictionary().getValue());
    SmallVector<Type> types;
    for (Value result : op->getResults()) {
      SmallVector<int64_t> shape(merge.leadFrom());
      llvm::append_range(shape, shapeOf(result).drop_front(merge.leadTo().size()));
      types.push_back(cast<RankedTensorType>(result.getType()).clone(shape));
    }
    state.addTypes(types);
    state.propertiesAttr = op->getPropertiesAsAttribute();
    Operation *made = rewriter.create(state);
    if (auto softmax = dyn_cast<SoftmaxOp>(made))
      softmax.setAxis(softmax.getAxis() + shift);
    if (auto topK = dyn_cast<TopKOp>(made))
      topK.setAxis(topK.getAxis() + shift);
    if (auto norm = dyn_cast<LayerNormOp>(made))
      norm.setAxis(norm.getAxis() + shift);
    if (auto reduce = dyn_cast<ReduceOp>(made))
      reduce.setAxes(llvm::map_to_vector(reduce.getAxes(), [&](int64_t axis) { return axis + shift; }));
    if (auto slice = dyn_cast<SliceOp>(made)) {
      size_t lead = merge.leadFrom().size(), kept = merge.kept;
      auto unmerge = [&](ArrayRef<int64_t> values, ArrayRef<int64_t> first) {
        SmallVector<int64_t> all(first);
        llvm::append_range(all, values.take_back(kept));
        return all;
      };
      SmallVector<int64_t> zeros(lead, 0), ones(lead, 1);
      slice.setStarts(unmerge(slice.getStarts(), zeros));
      slice.setSizes(unmerge(slice.getSizes(), merge.leadFrom()));
      slice.setSteps(unmerge(slice.getSteps(), ones));
    }
    return made;
  }

  static SmallVector<Value> merged(Operation *op, Operation *made, PatternRewriter &rewriter) {
    SmallVector<Value> results;
    for (auto [was, is] : llvm::zip_equal(op->getResults(), made->getResults()))
      results.push_back(rewriter.createOrFold<ReshapeOp>(op->getLoc(), was.getType(), is));
    return results;
  }
};

struct SinkReshapesPass : mpopt::nn::impl::SinkReshapesBase<SinkReshapesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkReshape>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
