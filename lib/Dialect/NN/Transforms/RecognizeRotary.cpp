#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_RECOGNIZEROTARY
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// How far back the angles are followed.
constexpr int kMaxDepth = 12;

/// Constants beyond this many elements are not compared.
constexpr int64_t kMaxCompared = int64_t(1) << 22;

/// Which elements of the last dimension make a pair: i and i + half of it, or 2i and 2i + 1.
enum class Pairs { Halves, Neighbours };

bool constantPairsEqual(DenseElementsAttr dense, int64_t size, Pairs pairs) {
  if (dense.isSplat())
    return true;
  auto type = dyn_cast<FloatType>(dense.getElementType());
  if (!type || dense.getNumElements() > kMaxCompared)
    return false;
  auto begin = dense.value_begin<APFloat>();
  int64_t step = pairs == Pairs::Halves ? 1 : 2, other = pairs == Pairs::Halves ? size / 2 : 1;
  for (int64_t row = 0; row < dense.getNumElements(); row += size)
    for (int64_t i = 0; i < size / 2; ++i)
      if (!(*(begin + row + i * step)).bitwiseIsEqual(*(begin + row + i * step + other)))
        return false;
  return true;
}

/// The axis of size 2 that a reshape merges into the last dimension, dimensions of 1 behind it aside.
std::optional<int64_t> mergedPairs(ReshapeOp reshape) {
  ArrayRef<int64_t> from = shapeOf(reshape.getInput());
  while (!from.empty() && from.back() == 1)
    from = from.drop_back();
  ArrayRef<int64_t> to = shapeOf(reshape.getResult());
  if (from.size() < 2 || to.empty() || from.back() != 2 || from.drop_back().back() * 2 != to.back())
    return std::nullopt;
  return static_cast<int64_t>(from.size()) - 1;
}

/// x of a reshape that writes each element of x twice in a row.
Value doubled(Value value) {
  auto reshape = value.getDefiningOp<ReshapeOp>();
  auto axis = reshape ? mergedPairs(reshape) : std::nullopt;
  if (!axis)
    return nullptr;
  Value merged = reshape.getInput();
  if (auto concat = merged.getDefiningOp<ConcatOp>())
    return static_cast<int64_t>(concat.getAxis()) == *axis && concat.getInputs().size() == 2 &&
                   concat.getInputs()[0] == concat.getInputs()[1]
               ? concat.getInputs()[0]
               : Value();
  auto broadcast = merged.getDefiningOp<BroadcastOp>();
  Value x = broadcast ? broadcast.getInput() : Value();
  if (!x || rankOf(x) != rankOf(merged) || shapeOf(x)[*axis] != 1)
    return nullptr;
  return shapeOf(x).take_front(*axis) == shapeOf(merged).take_front(*axis) ? x : Value();
}

/// Whether both elements of each pair hold the same: what exporters make of concat(angles, angles), or of angles repeated
/// one by one.
bool pairsEqual(Value value, Pairs pairs, int depth = 0) {
  int64_t rank = rankOf(value), size = rank ? shapeOf(value).back() : 1;
  if (size == 1) // spreads over all
    return true;
  Operation *op = value.getDefiningOp();
  if (!op || size % 2 || depth == kMaxDepth)
    return false;
  auto all = [&](ValueRange values) {
    return llvm::all_of(values, [&](Value v) { return pairsEqual(v, pairs, depth + 1); });
  };
  auto keepsLast = [&](Value operand) { return rankOf(operand) && shapeOf(operand).back() == size; };
  if (auto constant = dyn_cast<ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    return dense && constantPairsEqual(dense, size, pairs);
  }
  if (pairs == Pairs::Neighbours && doubled(value))
    return true;
  if (auto concat = dyn_cast<ConcatOp>(op); concat && static_cast<int64_t>(concat.getAxis()) == rank - 1)
    return pairs == Pairs::Halves && concat.getInputs().size() == 2 && concat.getInputs()[0] == concat.getInputs()[1];
  if (isa<CosOp, SinOp, CastOp, NegOp, MulOp, AddOp, SubOp, DivOp>(op))
    return all(op->getOperands());
  if (isa<ReshapeOp, BroadcastOp>(op))
    return keepsLast(op->getOperand(0)) && all(op->getOperands());
  if (auto transpose = dyn_cast<TransposeOp>(op))
    return transpose.getPermutation().back() == rank - 1 && all(op->getOperands());
  if (auto slice = dyn_cast<SliceOp>(op))
    return keepsLast(slice.getInput()) && slice.getSteps().back() == 1 && all(op->getOperands());
  if (auto gather = dyn_cast<GatherOp>(op))
    return static_cast<int64_t>(gather.getAxis()) < rankOf(gather.getInput()) - 1 &&
           pairsEqual(gather.getInput(), pairs, depth + 1);
  return false;
}

/// Whether a slice takes `size` elements of the last dimension, from `start` on with `step`, and all of the others.
bool takesLast(SliceOp slice, int64_t start, int64_t step) {
  ArrayRef<int64_t> from = shapeOf(slice.getInput()), to = shapeOf(slice.getResult());
  return !from.empty() && llvm::all_of(slice.getStarts().drop_back(), [](int64_t s) { return s == 0; }) &&
         llvm::all_of(slice.getSteps().drop_back(), [](int64_t s) { return s == 1; }) &&
         from.drop_back() == to.drop_back() && slice.getStarts().back() == start && slice.getSteps().back() == step;
}

/// x of the first (number 0) or second (1) elements of its pairs.
Value sideOf(Value value, int64_t number, Pairs pairs) {
  auto slice = value.getDefiningOp<SliceOp>();
  if (!slice || rankOf(value) == 0 || shapeOf(slice.getInput()).back() != 2 * shapeOf(value).back())
    return nullptr;
  bool fits =
      pairs == Pairs::Halves ? takesLast(slice, number * shapeOf(value).back(), 1) : takesLast(slice, number, 2);
  return fits ? slice.getInput() : Value();
}

/// x of a reshape that only adds a last dimension of 1.
Value withoutLast(Value value) {
  auto reshape = value.getDefiningOp<ReshapeOp>();
  bool fits = reshape && rankOf(value) && shapeOf(value).back() == 1 &&
              shapeOf(value).drop_back() == shapeOf(reshape.getInput());
  return fits ? reshape.getInput() : Value();
}

/// The first and second elements that are put together as pairs along the last dimension, without a dimension for the pair.
std::optional<std::pair<Value, Value>> matchJoined(Value value, Pairs pairs) {
  if (pairs == Pairs::Halves) {
    auto concat = value.getDefiningOp<ConcatOp>();
    if (!concat || concat.getInputs().size() != 2 || static_cast<int64_t>(concat.getAxis()) != rankOf(value) - 1)
      return std::nullopt;
    return std::pair(concat.getInputs()[0], concat.getInputs()[1]);
  }
  auto reshape = value.getDefiningOp<ReshapeOp>();
  auto concat = reshape ? reshape.getInput().getDefiningOp<ConcatOp>() : nullptr;
  if (!concat || concat.getInputs().size() != 2 || mergedPairs(reshape) != static_cast<int64_t>(concat.getAxis()) ||
      static_cast<int64_t>(concat.getAxis()) != rankOf(concat.getResult()) - 1)
    return std::nullopt;
  Value first = withoutLast(concat.getInputs()[0]), second = withoutLast(concat.getInputs()[1]);
  return first && second ? std::optional(std::pair(first, second)) : std::nullopt;
}

/// x of its pairs (a, b) as (-b, a).
Value matchRotated(Value value, Pairs pairs) {
  auto joined = matchJoined(value, pairs);
  auto neg = joined ? joined->first.getDefiningOp<NegOp>() : nullptr;
  Value x = neg ? sideOf(neg.getInput(), 1, pairs) : Value();
  return x && sideOf(joined->second, 0, pairs) == x ? x : Value();
}

std::array<std::pair<Value, Value>, 2> factors(MulOp op) {
  return {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())};
}

UnitAttr interleaved(Pairs pairs, Builder &builder) {
  return pairs == Pairs::Neighbours ? builder.getUnitAttr() : UnitAttr();
}

/// x * cos + rotated(x) * sin.
struct RecognizeRotary : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &rewriter) const override {
    auto left = op.getLhs().getDefiningOp<MulOp>(), right = op.getRhs().getDefiningOp<MulOp>();
    if (!left || !right)
      return failure();
    for (auto [plain, turned] : {std::pair(left, right), std::pair(right, left)})
      for (auto [rotated, sin] : factors(turned))
        for (Pairs pairs : {Pairs::Halves, Pairs::Neighbours})
          if (Value x = matchRotated(rotated, pairs); x && x.getType() == op.getType())
            for (auto [same, cos] : factors(plain))
              if (same == x && isAngle(cos, x, pairs) && isAngle(sin, x, pairs)) {
                rewriter.replaceOpWithNewOp<RotaryOp>(op, op.getType(), x, firstSide(cos, pairs, rewriter),
                                                      firstSide(sin, pairs, rewriter), interleaved(pairs, rewriter));
                return success();
              }
    return failure();
  }

  static bool isAngle(Value angle, Value x, Pairs pairs) {
    return rankOf(angle) && shapeOf(angle).back() == shapeOf(x).back() && pairsEqual(angle, pairs);
  }

  static Value firstSide(Value angle, Pairs pairs, PatternRewriter &rewriter) {
    SmallVector<int64_t> sizes(shapeOf(angle)), starts(sizes.size(), 0), steps(sizes.size(), 1);
    sizes.back() /= 2;
    auto type = RankedTensorType::get(sizes, elementOf(angle));
    Value once = pairs == Pairs::Neighbours ? doubled(angle) : Value();
    if (once)
      return rewriter.createOrFold<ReshapeOp>(angle.getLoc(), type, once);
    steps.back() = pairs == Pairs::Halves ? 1 : 2;
    return rewriter.createOrFold<SliceOp>(angle.getLoc(), type, angle, starts, sizes, steps);
  }
};

/// The first and the second elements of pairs in a sum or difference of products with angles.
struct Turned {
  Value first, second, firstAngle, secondAngle;
};

/// a * p and b * q of two products, where a is the first side of some x and b the second one.
std::optional<Turned> matchTurned(Value left, Value right, Pairs pairs) {
  auto a = left.getDefiningOp<MulOp>(), b = right.getDefiningOp<MulOp>();
  if (!a || !b)
    return std::nullopt;
  for (auto [first, firstAngle] : factors(a))
    for (auto [second, secondAngle] : factors(b))
      if (Value x = sideOf(first, 0, pairs); x && x == sideOf(second, 1, pairs))
        return Turned{first, second, firstAngle, secondAngle};
  return std::nullopt;
}

/// Pairs of (first * cos - second * sin, second * cos + first * sin), put together by a concat or a reshape of one.
template <typename Op, Pairs pairs> struct RecognizeSides : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    auto joined = matchJoined(op.getResult(), pairs);
    auto sub = joined ? joined->first.template getDefiningOp<SubOp>() : nullptr;
    auto add = joined ? joined->second.template getDefiningOp<AddOp>() : nullptr;
    auto top = sub ? matchTurned(sub.getLhs(), sub.getRhs(), pairs) : std::nullopt;
    auto bottom = add ? matchTurned(add.getRhs(), add.getLhs(), pairs) : std::nullopt;
    if (add && !bottom)
      bottom = matchTurned(add.getLhs(), add.getRhs(), pairs);
    if (!top || !bottom || top->first != bottom->first || top->second != bottom->second)
      return failure();
    Value x = sideOf(top->first, 0, pairs), cos = top->firstAngle, sin = top->secondAngle;
    int64_t half = shapeOf(top->first).back();
    if (cos != bottom->secondAngle || sin != bottom->firstAngle || x.getType() != op.getType() || !rankOf(cos) ||
        !rankOf(sin) || shapeOf(cos).back() != half || shapeOf(sin).back() != half)
      return failure();
    rewriter.replaceOpWithNewOp<RotaryOp>(op, op.getType(), x, cos, sin, interleaved(pairs, rewriter));
    return success();
  }
};

/// concat(rotation of the first elements of x, the rest of x).
struct RecognizePartial : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConcatOp op, PatternRewriter &rewriter) const override {
    if (op.getInputs().size() != 2 || static_cast<int64_t>(op.getAxis()) != rankOf(op.getResult()) - 1)
      return failure();
    auto rotary = op.getInputs()[0].getDefiningOp<RotaryOp>();
    auto first = rotary ? rotary.getInput().getDefiningOp<SliceOp>() : nullptr;
    auto rest = op.getInputs()[1].getDefiningOp<SliceOp>();
    if (!first || !rest || first.getInput() != rest.getInput() || first.getInput().getType() != op.getType())
      return failure();
    int64_t rotated = shapeOf(first.getResult()).back();
    if (!takesLast(first, 0, 1) || !takesLast(rest, rotated, 1) || 2 * shapeOf(rotary.getCos()).back() != rotated)
      return failure();
    rewriter.replaceOpWithNewOp<RotaryOp>(op, op.getType(), first.getInput(), rotary.getCos(), rotary.getSin(),
                                          rotary.getInterleavedAttr());
    return success();
  }
};

struct RecognizeRotaryPass : mpopt::nn::impl::RecognizeRotaryBase<RecognizeRotaryPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeRotary, RecognizeSides<ConcatOp, Pairs::Halves>, RecognizeSides<ReshapeOp, Pairs::Neighbours>,
                 RecognizePartial>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
