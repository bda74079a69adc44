#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_RECOGNIZEACTIVATIONS
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

constexpr double kInverseSqrt2 = 0.70710678118654752, kSqrt2OverPi = 0.79788456080286536, kCubic = 0.044715;
/// How deep products nest in what exporters write.
constexpr int kMaxDepth = 4;

/// A product taken apart: a number and values. A value equal to `whole` is not taken apart further.
struct Product {
  double factor = 1;
  SmallVector<Value> values;
};
void takeApart(Value value, Value whole, Product &product, int depth = 0) {
  if (value != whole && depth < kMaxDepth) {
    if (auto scaled = matchScaled(value)) {
      product.factor *= scaled->factor;
      return takeApart(scaled->value, whole, product, depth + 1);
    }
    if (auto mul = value.getDefiningOp<MulOp>()) {
      takeApart(mul.getLhs(), whole, product, depth + 1);
      return takeApart(mul.getRhs(), whole, product, depth + 1);
    }
  }
  product.values.push_back(value);
}

/// Whether `value` is factor * x^power.
bool isMonomial(Value value, Value x, double factor, int power) {
  if (auto scaled = matchScaled(value); scaled && factor != 1)
    return isMonomial(scaled->value, x, factor / scaled->factor, power);
  if (auto pow = value.getDefiningOp<PowOp>())
    return nearly(factor, 1) && pow.getLhs() == x && splatOf(pow.getRhs()) == double(power);
  Product product;
  takeApart(value, x, product);
  return nearly(product.factor, factor) && static_cast<int>(product.values.size()) == power &&
         llvm::all_of(product.values, [&](Value each) { return each == x; });
}

/// x of erf(x / sqrt(2)).
Value matchErf(Value value) {
  auto erf = value.getDefiningOp<ErfOp>();
  auto scaled = erf ? matchScaled(erf.getInput()) : std::nullopt;
  return scaled && nearly(scaled->factor, kInverseSqrt2) ? scaled->value : Value();
}

/// x of tanh(sqrt(2 / pi) * (x + 0.044715 x^3)), also with x taken out of the sum.
Value matchTanh(Value value) {
  auto tanh = value.getDefiningOp<TanhOp>();
  if (!tanh)
    return nullptr;
  Product product;
  takeApart(tanh.getInput(), Value(), product);
  if (!nearly(product.factor, kSqrt2OverPi))
    return nullptr;
  if (product.values.size() == 1)
    if (auto add = product.values[0].getDefiningOp<AddOp>())
      for (auto [x, cube] : {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())})
        if (isMonomial(cube, x, kCubic, 3))
          return x;
  if (product.values.size() == 2)
    for (auto [x, sum] :
         {std::pair(product.values[0], product.values[1]), std::pair(product.values[1], product.values[0])})
      if (auto offset = matchOffset(sum); offset && offset->term == 1 && isMonomial(offset->value, x, kCubic, 2))
        return x;
  return nullptr;
}

/// The first 1 + erf(..) or 1 + tanh(..) among the factors of a product, and x.
struct Gate {
  Value gate, x;
  bool tanh;
};
std::optional<Gate> findGate(Value value, int depth = 0) {
  if (auto offset = matchOffset(value); offset && offset->term == 1) {
    if (Value x = matchErf(offset->value))
      return Gate{value, x, false};
    if (Value x = matchTanh(offset->value))
      return Gate{value, x, true};
  }
  if (depth == kMaxDepth)
    return std::nullopt;
  if (auto scaled = matchScaled(value))
    return findGate(scaled->value, depth + 1);
  if (auto mul = value.getDefiningOp<MulOp>()) {
    auto gate = findGate(mul.getLhs(), depth + 1);
    return gate ? gate : findGate(mul.getRhs(), depth + 1);
  }
  return std::nullopt;
}

/// Whether `value` is 0.5 * x * gate, the factors in any order. x may be a product itself, so it is looked for whole.
bool isGated(Value value, const Gate &gate) {
  Product product;
  takeApart(value, gate.x, product);
  return nearly(product.factor, 0.5) && product.values.size() == 2 &&
         ((product.values[0] == gate.x && product.values[1] == gate.gate) ||
          (product.values[1] == gate.x && product.values[0] == gate.gate));
}

template <typename Op> struct RecognizeGelu : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    auto gate = findGate(op.getResult());
    if (!gate || gate->x.getType() != op.getType() || !isGated(op.getResult(), *gate))
      return failure();
    rewriter.replaceOpWithNewOp<GeluOp>(op, op.getType(), gate->x, gate->tanh ? rewriter.getUnitAttr() : UnitAttr());
    return success();
  }
};

struct RecognizeSilu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    for (auto [x, gate] : {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())})
      if (auto sigmoid = gate.getDefiningOp<SigmoidOp>(); sigmoid && sigmoid.getInput() == x) {
        rewriter.replaceOpWithNewOp<SiluOp>(op, op.getType(), x);
        return success();
      }
    return failure();
  }
};

struct RecognizeActivationsPass : mpopt::nn::impl::RecognizeActivationsBase<RecognizeActivationsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeGelu<MulOp>, RecognizeGelu<DivOp>, RecognizeSilu>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
