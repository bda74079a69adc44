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

bool constantHalvesEqual(DenseElementsAttr dense, int64_t size) {
  if (dense.isSplat())
    return true;
  auto type = dyn_cast<FloatType>(dense.getElementType());
  if (!type || dense.getNumElements() > kMaxCompared)
    return false;
  auto begin = dense.value_begin<APFloat>();
  for (int64_t row = 0; row < dense.getNumElements(); row += size)
    for (int64_t i = row; i < row + size / 2; ++i)
      if (!(*(begin + i)).bitwiseIsEqual(*(begin + i + size / 2)))
        return false;
  return true;
}

/// Whether the two halves of the last dimension hold the same: what exporters make of concat(angles, angles).
bool halvesEqual(Value value, int depth = 0) {
  int64_t rank = rankOf(value), size = rank ? shapeOf(value).back() : 1;
  if (size == 1) // spreads over both halves
    return true;
  Operation *op = value.getDefiningOp();
  if (!op || size % 2 || depth == kMaxDepth)
    return false;
  auto all = [&](ValueRange values) {
    return llvm::all_of(values, [&](Value v) { return halvesEqual(v, depth + 1); });
  };
  auto keepsLast = [&](Value operand) { return rankOf(operand) && shapeOf(operand).back() == size; };
  if (auto constant = dyn_cast<ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    return dense && constantHalvesEqual(dense, size);
  }
  if (auto concat = dyn_cast<ConcatOp>(op); concat && static_cast<int64_t>(concat.getAxis()) == rank - 1)
    return concat.getInputs().size() == 2 && concat.getInputs()[0] == concat.getInputs()[1];
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
           halvesEqual(gather.getInput(), depth + 1);
  return false;
}

/// x of its first (number 0) or second (1) half along the last dimension.
Value halfOf(Value value, int64_t number) {
  auto slice = value.getDefiningOp<SliceOp>();
  if (!slice || rankOf(value) == 0)
    return nullptr;
  ArrayRef<int64_t> from = shapeOf(slice.getInput()), to = shapeOf(value);
  bool others = llvm::all_of(slice.getStarts().drop_back(), [](int64_t start) { return start == 0; }) &&
                llvm::all_of(slice.getSteps(), [](int64_t step) { return step == 1; });
  bool fits = others && from.drop_back() == to.drop_back() && from.back() == 2 * to.back() &&
              slice.getStarts().back() == number * to.back();
  return fits ? slice.getInput() : Value();
}

/// x of concat(-second half, first half).
Value matchRotated(Value value) {
  auto concat = value.getDefiningOp<ConcatOp>();
  if (!concat || concat.getInputs().size() != 2 || static_cast<int64_t>(concat.getAxis()) != rankOf(value) - 1)
    return nullptr;
  auto neg = concat.getInputs()[0].getDefiningOp<NegOp>();
  Value x = neg ? halfOf(neg.getInput(), 1) : Value();
  return x && halfOf(concat.getInputs()[1], 0) == x ? x : Value();
}

std::array<std::pair<Value, Value>, 2> factors(MulOp op) {
  return {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())};
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
        if (Value x = matchRotated(rotated))
          for (auto [same, cos] : factors(plain))
            if (same == x && x.getType() == op.getType() && isAngle(cos, x) && isAngle(sin, x)) {
              rewriter.replaceOpWithNewOp<RotaryOp>(op, op.getType(), x, firstHalf(cos, rewriter),
                                                    firstHalf(sin, rewriter), UnitAttr());
              return success();
            }
    return failure();
  }

  static bool isAngle(Value angle, Value x) {
    return rankOf(angle) && shapeOf(angle).back() == shapeOf(x).back() && halvesEqual(angle);
  }

  static Value firstHalf(Value angle, PatternRewriter &rewriter) {
    SmallVector<int64_t> sizes(shapeOf(angle)), starts(sizes.size(), 0), steps(sizes.size(), 1);
    sizes.back() /= 2;
    return rewriter.createOrFold<SliceOp>(angle.getLoc(), RankedTensorType::get(sizes, elementOf(angle)), angle, starts,
                                          sizes, steps);
  }
};

/// The first half's and the second half's parts of a sum or difference of products with angles.
struct Turned {
  Value first, second, firstAngle, secondAngle;
};

/// a * p and b * q of two products, where a is the first half of some x and b the second one.
std::optional<Turned> matchTurned(Value left, Value right) {
  auto a = left.getDefiningOp<MulOp>(), b = right.getDefiningOp<MulOp>();
  if (!a || !b)
    return std::nullopt;
  for (auto [first, firstAngle] : factors(a))
    for (auto [second, secondAngle] : factors(b))
      if (Value x = halfOf(first, 0); x && x == halfOf(second, 1))
        return Turned{first, second, firstAngle, secondAngle};
  return std::nullopt;
}

/// concat(first half * cos - second half * sin, second half * cos + first half * sin).
struct RecognizeHalves : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConcatOp op, PatternRewriter &rewriter) const override {
    if (op.getInputs().size() != 2 || static_cast<int64_t>(op.getAxis()) != rankOf(op.getResult()) - 1)
      return failure();
    auto sub = op.getInputs()[0].getDefiningOp<SubOp>();
    auto add = op.getInputs()[1].getDefiningOp<AddOp>();
    auto top = sub ? matchTurned(sub.getLhs(), sub.getRhs()) : std::nullopt;
    auto bottom = add ? matchTurned(add.getRhs(), add.getLhs()) : std::nullopt;
    if (add && !bottom)
      bottom = matchTurned(add.getLhs(), add.getRhs());
    if (!top || !bottom || top->first != bottom->first || top->second != bottom->second)
      return failure();
    Value x = halfOf(top->first, 0), cos = top->firstAngle, sin = top->secondAngle;
    int64_t half = shapeOf(top->first).back();
    if (cos != bottom->secondAngle || sin != bottom->firstAngle || x.getType() != op.getType() || !rankOf(cos) ||
        !rankOf(sin) || shapeOf(cos).back() != half || shapeOf(sin).back() != half)
      return failure();
    rewriter.replaceOpWithNewOp<RotaryOp>(op, op.getType(), x, cos, sin, UnitAttr());
    return success();
  }
};

struct RecognizeRotaryPass : mpopt::nn::impl::RecognizeRotaryBase<RecognizeRotaryPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeRotary, RecognizeHalves>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
