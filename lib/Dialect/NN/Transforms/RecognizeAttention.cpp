#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_RECOGNIZEATTENTION
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// What stands between softmax and the product q k^T.
struct Scores {
  Value q, kTransposed;
  double scale = 1, softcap = 0;
  /// What builds each mask.
  SmallVector<std::function<Value(PatternRewriter &)>> masks;

  /// The sum of the masks, or null.
  Value buildMask(PatternRewriter &rewriter) {
    Value sum;
    for (auto &make : masks) {
      Value mask = make(rewriter);
      sum = sum ? AddOp::create(rewriter, mask.getLoc(), sum, mask) : mask;
    }
    return sum;
  }
};

/// The softmax behind a value: itself, or in the safe form select(isnan(p), 0, p). Nothing else may read it.
SoftmaxOp matchSoftmax(Value value, bool &safe) {
  SoftmaxOp softmax = value.getDefiningOp<SoftmaxOp>();
  unsigned uses = 1;
  if (auto select = value.getDefiningOp<SelectOp>()) {
    auto isNan = select.getCondition().getDefiningOp<IsNanOp>();
    if (!isNan || isNan.getInput() != select.getRhs() || splatOf(select.getLhs()) != 0.0 || !select->hasOneUse())
      return nullptr;
    softmax = select.getRhs().getDefiningOp<SoftmaxOp>();
    uses = 2;
    safe = true;
  }
  if (!softmax || softmax.getLog() || static_cast<int64_t>(softmax.getAxis()) != rankOf(softmax) - 1)
    return nullptr;
  safe |= softmax.getSafe();
  return llvm::hasNItems(softmax->getUses(), uses) ? softmax : nullptr;
}

/// Whether a value is q k^T behind scaling, masks and a softcap.
bool leadsToMatmul(Value value) {
  for (int depth = 0; depth < 8; ++depth) {
    if (value.getDefiningOp<MatmulOp>())
      return true;
    if (auto scaled = matchScaled(value))
      value = scaled->value;
    else if (auto tanh = value.getDefiningOp<TanhOp>())
      value = tanh.getInput();
    else if (auto add = value.getDefiningOp<AddOp>())
      value = leadsToMatmul(add.getLhs()) ? add.getLhs() : add.getRhs();
    else if (auto select = value.getDefiningOp<SelectOp>())
      value = splatOf(select.getRhs()) ? select.getLhs() : select.getRhs();
    else
      return false;
  }
  return false;
}

/// Collects masks and factors from the softmax's input down to the product.
class ScoresMatcher {
public:
  std::optional<Scores> match(Value value) {
    while (true) {
      if (auto matmul = value.getDefiningOp<MatmulOp>()) {
        scores.q = matmul.getLhs();
        scores.kTransposed = matmul.getRhs();
        return scores;
      }
      Value inner = step(value);
      // A mask that widened the scores could not go into attention.
      if (!inner || inner.getType() != value.getType())
        return std::nullopt;
      value = inner;
    }
  }

private:
  /// Peels one operator off.
  Value step(Value value) {
    if (auto scaled = matchScaled(value))
      return stepScaled(*scaled);
    bool mayMask = scores.scale == 1 && scores.softcap == 0;
    if (auto add = value.getDefiningOp<AddOp>(); add && mayMask)
      for (auto [inner, mask] : {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())})
        if (leadsToMatmul(inner)) {
          scores.masks.push_back([mask](PatternRewriter &) { return mask; });
          return inner;
        }
    if (auto select = value.getDefiningOp<SelectOp>(); select && mayMask)
      return stepSelect(select);
    return nullptr;
  }

  /// x * c, or c * tanh(x / c).
  Value stepScaled(const Scaled &scaled) {
    if (auto tanh = scaled.value.getDefiningOp<TanhOp>(); tanh && scores.softcap == 0 && scores.scale == 1) {
      auto inner = matchScaled(tanh.getInput());
      if (!inner || scaled.factor <= 0)
        return nullptr;
      scores.softcap = scaled.factor;
      scores.scale = inner->factor * scaled.factor; // that of the scores before they are divided by c
      return inner->value;
    }
    scores.scale *= scaled.factor;
    return scaled.value;
  }

  /// select(keep, scores, fill) adds select(keep, 0, fill): the scores vanish beside a fill as low as -1e30.
  Value stepSelect(SelectOp select) {
    constexpr double kLow = -1e30;
    bool keepsLeft = splatOf(select.getRhs()).value_or(0) <= kLow;
    if (!keepsLeft && splatOf(select.getLhs()).value_or(0) > kLow)
      return nullptr;
    scores.masks.push_back([select, keepsLeft](PatternRewriter &rewriter) mutable -> Value {
      Value fill = keepsLeft ? select.getRhs() : select.getLhs();
      auto scalar = RankedTensorType::get({}, elementOf(fill));
      auto number = [&](double value) -> Value {
        auto attribute = DenseElementsAttr::get(scalar, Attribute(rewriter.getFloatAttr(elementOf(fill), value)));
        return ConstantOp::create(rewriter, select.getLoc(), scalar, attribute);
      };
      Value zero = number(0), low = number(*splatOf(fill));
      return SelectOp::create(rewriter, select.getLoc(), select.getCondition(), keepsLeft ? zero : low,
                              keepsLeft ? low : zero);
    });
    return keepsLeft ? select.getLhs() : select.getRhs();
  }

  Scores scores;
};

Value peelScale(Value value, double &scale) {
  while (auto scaled = matchScaled(value)) {
    scale *= scaled->factor;
    value = scaled->value;
  }
  return value;
}

Value swapLast(Value value, PatternRewriter &rewriter) {
  SmallVector<int64_t> permutation = llvm::to_vector(llvm::seq<int64_t>(0, rankOf(value)));
  std::swap(permutation[permutation.size() - 2], permutation.back());
  return rewriter.createOrFold<TransposeOp>(value.getLoc(), value, permutation);
}

/// The broadcast to [b, kv, n, s, d] behind keys or values [b, kv * n, s, d] that are repeated for groups of n query heads, or null.
BroadcastOp matchRepeat(Value value) {
  auto merge = value.getDefiningOp<ReshapeOp>();
  auto repeat = merge ? merge.getInput().getDefiningOp<BroadcastOp>() : nullptr;
  if (!repeat || rankOf(value) != 4 || rankOf(repeat.getResult()) != 5 || rankOf(repeat.getInput()) != 5)
    return nullptr;
  ArrayRef<int64_t> wide = shapeOf(repeat.getResult()), narrow = shapeOf(repeat.getInput()), to = shapeOf(value);
  bool groups = narrow[2] == 1 && narrow[0] == wide[0] && narrow[1] == wide[1] &&
                narrow.drop_front(3) == wide.drop_front(3) && to[0] == wide[0] && to[1] == wide[1] * wide[2] &&
                to.drop_front(2) == wide.drop_front(3);
  return groups ? repeat : nullptr;
}

/// Whether attention can read keys and values before they are repeated.
bool areRepeated(Value k, Value v) {
  BroadcastOp repeatK = matchRepeat(k), repeatV = matchRepeat(v);
  return repeatK && repeatV && shapeOf(repeatK.getInput()).drop_back(2) == shapeOf(repeatV.getInput()).drop_back(2);
}

/// [b, kv, s, d] of what areRepeated holds for.
Value unrepeat(Value value, PatternRewriter &rewriter) {
  BroadcastOp repeat = matchRepeat(value);
  ArrayRef<int64_t> narrow = shapeOf(repeat.getInput());
  SmallVector<int64_t> kept{narrow[0], narrow[1], narrow[3], narrow[4]};
  return rewriter.createOrFold<ReshapeOp>(value.getLoc(), RankedTensorType::get(kept, elementOf(value)),
                                          repeat.getInput());
}

/// [n, s, d] as [n, 1, s, d].
Value withHeads(Value value, PatternRewriter &rewriter) {
  SmallVector<int64_t> shape(shapeOf(value));
  if (shape.size() != 3)
    return value;
  shape.insert(shape.begin() + 1, 1);
  return rewriter.createOrFold<ReshapeOp>(value.getLoc(), RankedTensorType::get(shape, elementOf(value)), value);
}

bool sameBatch(Value a, Value b) { return shapeOf(a).drop_back(2) == shapeOf(b).drop_back(2); }

struct RecognizeAttention : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    bool safe = false;
    SoftmaxOp softmax = matchSoftmax(op.getLhs(), safe);
    int64_t rank = rankOf(op.getResult());
    if (!softmax || (rank != 3 && rank != 4) || !leadsToMatmul(softmax.getInput()))
      return failure();
    auto scores = ScoresMatcher().match(softmax.getInput());
    if (!scores || !sameBatch(scores->q, scores->kTransposed) || !sameBatch(scores->q, op.getRhs()))
      return failure();
    Value q = peelScale(scores->q, scores->scale),
          k = swapLast(peelScale(scores->kTransposed, scores->scale), rewriter);
    k = peelScale(k, scores->scale);
    if (auto transpose = k.getDefiningOp<TransposeOp>())
      if (Value inner = peelScale(transpose.getInput(), scores->scale); inner != transpose.getInput())
        k = rewriter.createOrFold<TransposeOp>(k.getLoc(), inner, transpose.getPermutation());
    Value v = op.getRhs();
    if (areRepeated(k, v)) {
      k = unrepeat(k, rewriter);
      v = unrepeat(v, rewriter);
    }
    replace(op, *scores, {withHeads(q, rewriter), withHeads(k, rewriter), withHeads(v, rewriter)}, safe, rewriter);
    return success();
  }

  static void replace(MatmulOp op, Scores &scores, ArrayRef<Value> qkv, bool safe, PatternRewriter &rewriter) {
    Value mask = scores.buildMask(rewriter);
    if (mask && rankOf(op.getResult()) == 3)
      mask = withHeads(mask, rewriter);
    SmallVector<int64_t> shape(shapeOf(qkv[0]));
    shape.back() = shapeOf(qkv[2]).back();
    Value result = AttentionOp::create(rewriter, op.getLoc(), RankedTensorType::get(shape, elementOf(op.getResult())),
                                       qkv[0], qkv[1], qkv[2], mask, rewriter.getF64FloatAttr(scores.scale), UnitAttr(),
                                       rewriter.getI64IntegerAttr(0), rewriter.getF64FloatAttr(scores.softcap),
                                       safe ? rewriter.getUnitAttr() : UnitAttr());
    rewriter.replaceOp(op, rewriter.createOrFold<ReshapeOp>(op.getLoc(), op.getType(), result));
  }
};

/// Attention itself reads keys and values for groups of query heads.
struct UnrepeatKeys : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!areRepeated(op.getKey(), op.getValue()))
      return failure();
    Value k = unrepeat(op.getKey(), rewriter), v = unrepeat(op.getValue(), rewriter);
    rewriter.modifyOpInPlace(op, [&] {
      op.getKeyMutable().assign(k);
      op.getValueMutable().assign(v);
    });
    return success();
  }
};

struct RecognizeAttentionPass : mpopt::nn::impl::RecognizeAttentionBase<RecognizeAttentionPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeAttention, UnrepeatKeys>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
