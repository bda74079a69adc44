#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_SIMPLIFYSHAPES
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// What one component of an index grid is: the position along one of the grid's dimensions, or 0 everywhere (dim -1).
std::optional<int64_t> gridDimension(ArrayRef<int64_t> values, ArrayRef<int64_t> grid, int64_t component,
                                     int64_t components) {
  for (int64_t dim = -1; dim < static_cast<int64_t>(grid.size()); ++dim) {
    if (dim >= 0 && grid[dim] == 1)
      continue;
    int64_t inner = dim < 0 ? 1 : ShapedType::getNumElements(grid.drop_front(dim + 1)), size = dim < 0 ? 1 : grid[dim];
    bool matches = true;
    for (int64_t i = 0, count = ShapedType::getNumElements(grid); i < count && matches; ++i)
      matches = values[i * components + component] == i / inner % size;
    if (matches)
      return dim;
  }
  return std::nullopt;
}

/// A gather_nd whose constant indices enumerate the input's leading dimensions in order, as exporters write
/// mask[batch index, key index], is a reshape (and a broadcast over grid dimensions that no component uses).
struct GatherGrid : OpRewritePattern<GatherNdOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(GatherNdOp op, PatternRewriter &rewriter) const override {
    auto values = intsOf(op.getIndices());
    ArrayRef<int64_t> input = shapeOf(op.getInput()), grid = shapeOf(op.getIndices()).drop_back();
    if (!values || op.getBatchDims() != 0 || ShapedType::getNumElements(grid) == 0)
      return failure();
    int64_t components = shapeOf(op.getIndices()).back(), last = -1;
    SmallVector<int64_t> shape(grid.size(), 1);
    for (int64_t c = 0; c < components; ++c) {
      auto dim = gridDimension(*values, grid, c, components);
      // The whole of the input's dimension, and the components in the grid's order; 0 fits a dimension of size 1.
      if (!dim || input[c] != (*dim < 0 ? 1 : grid[*dim]) || (*dim >= 0 && *dim <= last))
        return failure();
      if (*dim >= 0)
        shape[last = *dim] = grid[*dim];
    }
    llvm::append_range(shape, input.drop_front(components));
    auto type = RankedTensorType::get(shape, elementOf(op.getInput()));
    Value result = rewriter.createOrFold<ReshapeOp>(op.getLoc(), type, op.getInput());
    rewriter.replaceOp(op, rewriter.createOrFold<BroadcastOp>(op.getLoc(), op.getType(), result));
    return success();
  }
};

/// A gather whose constant indices count up by one is a slice.
struct GatherRange : OpRewritePattern<GatherOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(GatherOp op, PatternRewriter &rewriter) const override {
    auto values = intsOf(op.getIndices());
    int64_t axis = op.getAxis(), size = shapeOf(op.getInput())[axis];
    if (!values || values->empty() || op.getOffset())
      return failure();
    int64_t first = values->front() < 0 ? values->front() + size : values->front();
    for (auto [i, value] : llvm::enumerate(*values))
      if ((value < 0 ? value + size : value) != first + static_cast<int64_t>(i))
        return failure();
    int64_t count = values->size();
    if (first < 0 || first + count > size)
      return failure();
    SmallVector<int64_t> starts(rankOf(op.getInput()), 0), sizes(shapeOf(op.getInput())), steps(starts.size(), 1);
    starts[axis] = first;
    sizes[axis] = count;
    Value slice = rewriter.createOrFold<SliceOp>(op.getLoc(), op.getInput(), starts, sizes, steps);
    rewriter.replaceOp(op, rewriter.createOrFold<ReshapeOp>(op.getLoc(), op.getType(), slice));
    return success();
  }
};

/// float -> wider -> float and bool -> any -> bool change nothing.
struct CastRoundTrip : OpRewritePattern<CastOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CastOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<CastOp>();
    if (!inner || inner.getInput().getType() != op.getType())
      return failure();
    Type from = elementOf(op.getResult()), through = elementOf(inner.getResult());
    bool floats = isa<FloatType>(from) && isa<FloatType>(through) &&
                  cast<FloatType>(through).getFPMantissaWidth() >= cast<FloatType>(from).getFPMantissaWidth() &&
                  through.getIntOrFloatBitWidth() > from.getIntOrFloatBitWidth();
    bool integers = from.isInteger(1) || (from.isSignlessInteger() && through.isSignlessInteger() &&
                                          through.getIntOrFloatBitWidth() >= from.getIntOrFloatBitWidth());
    if (!floats && !integers)
      return failure();
    rewriter.replaceOp(op, inner.getInput());
    return success();
  }
};

/// An elementwise operand that is a broadcast need not be one where the operator broadcasts itself.
template <typename Op> struct DropBroadcast : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    for (OpOperand &operand : op->getOpOperands()) {
      auto broadcast = operand.get().template getDefiningOp<BroadcastOp>();
      if (!broadcast)
        continue;
      SmallVector<int64_t> shape(shapeOf(broadcast.getInput()));
      for (OpOperand &other : op->getOpOperands())
        if (&other != &operand)
          if (auto both = broadcastShapes(shape, shapeOf(other.get())))
            shape = *both;
      if (ArrayRef<int64_t>(shape) != shapeOf(op.getResult()))
        continue;
      rewriter.modifyOpInPlace(op, [&] { operand.set(broadcast.getInput()); });
      return success();
    }
    return failure();
  }
};

/// `and` with what is true everywhere only broadcasts.
struct AndTrue : OpRewritePattern<AndOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AndOp op, PatternRewriter &rewriter) const override {
    if (splatOf(op.getRhs()) != 1.0 || !elementOf(op.getRhs()).isInteger(1))
      return failure();
    rewriter.replaceOp(op, rewriter.createOrFold<BroadcastOp>(op.getLoc(), op.getType(), op.getLhs()));
    return success();
  }
};

/// Whether elements of the result depend only on those of the operands at the same place.
bool isElementwise(Operation *op) {
  return isa<AddOp, SubOp, MulOp, DivOp, MaxOp, MinOp, AndOp, OrOp, XorOp, CompareOp, SelectOp, NotOp, NegOp, CastOp>(
      op);
}

/// An elementwise operator on broadcast values works before the broadcast where that is smaller: masks stay small.
struct BroadcastLater : RewritePattern {
  BroadcastLater(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!isElementwise(op))
      return failure();
    SmallVector<Value> operands;
    SmallVector<int64_t> shape;
    for (Value operand : op->getOperands()) {
      auto broadcast = operand.getDefiningOp<BroadcastOp>();
      operands.push_back(broadcast ? broadcast.getInput() : operand);
      auto both = broadcastShapes(shape, shapeOf(operands.back()));
      if (!both)
        return failure();
      shape = *both;
    }
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    if (ShapedType::getNumElements(shape) >= type.getNumElements())
      return failure();
    OperationState state(op->getLoc(), op->getName(), operands, {type.clone(shape)},
                         op->getDiscardableAttrDictionary().getValue());
    state.propertiesAttr = op->getPropertiesAsAttribute();
    Operation *small = rewriter.create(state);
    rewriter.replaceOpWithNewOp<BroadcastOp>(op, type, small->getResult(0));
    return success();
  }
};

/// Attention broadcasts its mask itself.
struct DropMaskBroadcast : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    auto broadcast = op.getMask() ? op.getMask().getDefiningOp<BroadcastOp>() : nullptr;
    if (!broadcast)
      return failure();
    rewriter.modifyOpInPlace(op, [&] { op.getMaskMutable().assign(broadcast.getInput()); });
    return success();
  }
};

/// The input's dimension that each dimension of reshape(transpose(reshape(x))) is, when that is a transposition of x:
/// exporters merge batch and heads before they swap the last two. Dimensions of size 1 keep their order.
std::optional<SmallVector<int64_t>> matchTransposition(ArrayRef<int64_t> from, ArrayRef<int64_t> merged,
                                                       ArrayRef<int64_t> permutation, ArrayRef<int64_t> to) {
  // The dimensions of x that make up each merged dimension.
  SmallVector<SmallVector<int64_t>> parts(merged.size());
  size_t next = 0;
  for (auto [i, size] : llvm::enumerate(merged)) {
    int64_t product = 1;
    while (product < size && next < from.size()) {
      if (from[next] != 1)
        parts[i].push_back(next);
      product *= from[next++];
    }
    if (product != size)
      return std::nullopt;
  }
  SmallVector<int64_t> moved, ones, result;
  for (int64_t dim : permutation)
    llvm::append_range(moved, parts[dim]);
  for (auto [i, size] : llvm::enumerate(from))
    if (size == 1)
      ones.push_back(i);
  auto nextMoved = moved.begin(), nextOne = ones.begin();
  for (int64_t size : to) {
    auto &it = size == 1 ? nextOne : nextMoved;
    if (it == (size == 1 ? ones.end() : moved.end()) || from[*it] != size)
      return std::nullopt;
    result.push_back(*it++);
  }
  return nextMoved == moved.end() && nextOne == ones.end() ? std::optional(result) : std::nullopt;
}

/// reshape(transpose(x)) that only moves dimensions of size 1, as transpose(reshape(x)).
struct UnitsBeforeTranspose {
  SmallVector<int64_t> shape, permutation; // of the reshape and of the transpose

  static std::optional<UnitsBeforeTranspose> match(ArrayRef<int64_t> from, ArrayRef<int64_t> permutation,
                                                   ArrayRef<int64_t> to) {
    SmallVector<int64_t> moved; // dimensions of x in the order of the result
    for (int64_t dim : permutation)
      if (from[dim] != 1)
        moved.push_back(dim);
    SmallVector<int64_t> sorted(moved);
    llvm::sort(sorted);
    DenseMap<int64_t, int64_t> place; // of x's dimensions in the reshaped x, where units stand as in the result
    UnitsBeforeTranspose result;
    for (int64_t size : to) {
      if (size != 1 && place.size() == sorted.size())
        return std::nullopt;
      int64_t dim = size == 1 ? -1 : sorted[place.size()];
      if (size != 1)
        place[dim] = result.shape.size();
      result.shape.push_back(size == 1 ? 1 : from[dim]);
    }
    size_t next = 0;
    for (auto [i, size] : llvm::enumerate(to)) {
      if (size != 1 && from[moved[next]] != size)
        return std::nullopt;
      result.permutation.push_back(size == 1 ? static_cast<int64_t>(i) : place[moved[next++]]);
    }
    return next == moved.size() ? std::optional(result) : std::nullopt;
  }
};

/// reshape(transpose(x)) whose reshape only takes dimensions apart, as transpose(reshape(x)).
struct SplitBeforeTranspose {
  SmallVector<int64_t> shape, permutation; // of the reshape and of the transpose

  static std::optional<SplitBeforeTranspose> match(ArrayRef<int64_t> from, ArrayRef<int64_t> permutation,
                                                   ArrayRef<int64_t> to) {
    SmallVector<SmallVector<int64_t>> parts(from.size()); // the result's dimensions that are each of x's
    size_t next = 0;
    for (int64_t dim : permutation) {
      int64_t product = 1;
      while (next < to.size() && (product < from[dim] || (to[next] == 1 && !parts[dim].empty()))) {
        product *= to[next];
        parts[dim].push_back(next++);
      }
      if (product != from[dim])
        return std::nullopt;
    }
    if (next != to.size())
      return std::nullopt;
    SplitBeforeTranspose result;
    result.permutation.resize(to.size());
    for (ArrayRef<int64_t> dims : parts)
      for (int64_t dim : dims) {
        result.permutation[dim] = result.shape.size();
        result.shape.push_back(to[dim]);
      }
    return result;
  }
};

struct TransposeMerged : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    auto transpose = op.getInput().getDefiningOp<TransposeOp>();
    auto inner = transpose ? transpose.getInput().getDefiningOp<ReshapeOp>() : nullptr;
    if (!inner || llvm::is_contained(shapeOf(op.getInput()), 0))
      return failure();
    auto permutation = matchTransposition(shapeOf(inner.getInput()), shapeOf(inner.getResult()),
                                          transpose.getPermutation(), shapeOf(op.getResult()));
    if (permutation) {
      rewriter.replaceOp(op, rewriter.createOrFold<TransposeOp>(op.getLoc(), inner.getInput(), *permutation));
      return success();
    }
    // Two reshapes with a transpose between become one before it.
    if (auto units = UnitsBeforeTranspose::match(shapeOf(inner.getResult()), transpose.getPermutation(),
                                                 shapeOf(op.getResult())))
      return replace(op, inner.getInput(), units->shape, units->permutation, rewriter);
    if (auto split = SplitBeforeTranspose::match(shapeOf(inner.getResult()), transpose.getPermutation(),
                                                 shapeOf(op.getResult())))
      return replace(op, inner.getInput(), split->shape, split->permutation, rewriter);
    return failure();
  }

  static LogicalResult replace(ReshapeOp op, Value input, ArrayRef<int64_t> shape, ArrayRef<int64_t> permutation,
                               PatternRewriter &rewriter) {
    auto type = RankedTensorType::get(shape, elementOf(op.getResult()));
    Value reshaped = rewriter.createOrFold<ReshapeOp>(op.getLoc(), type, input);
    rewriter.replaceOp(op, rewriter.createOrFold<TransposeOp>(op.getLoc(), reshaped, permutation));
    return success();
  }
};

struct SimplifyShapesPass : mpopt::nn::impl::SimplifyShapesBase<SimplifyShapesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<GatherGrid, GatherRange, CastRoundTrip, DropBroadcast<AddOp>, DropBroadcast<SubOp>,
                 DropBroadcast<MulOp>, DropBroadcast<DivOp>, DropBroadcast<MaxOp>, DropBroadcast<MinOp>,
                 DropBroadcast<AndOp>, DropBroadcast<OrOp>, DropBroadcast<CompareOp>, DropBroadcast<SelectOp>, AndTrue,
                 BroadcastLater, DropMaskBroadcast, TransposeMerged>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
