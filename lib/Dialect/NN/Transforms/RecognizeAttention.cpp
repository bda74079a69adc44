#include "Leads.h"
#include "Match.h"
#include "Settle.h"
#include "Sinks.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_RECOGNIZEATTENTION
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

/// Scores vanish beside numbers so low.
constexpr double kLow = -1e30;

/// What stands between softmax and the product q k^T.
struct Scores {
  /// What builds a mask, and the leading dimensions of the scores that it is added to.
  struct Mask {
    std::function<Value(PatternRewriter &)> build;
    Lead lead;
  };

  Value q, kTransposed;
  double scale = 1, softcap = 0;
  Value rowFactor; // that the scores are multiplied by, with one column, or null
  Lead rowFactorLead;
  Value sink; // one more score per row, whose weight is dropped, or null
  SmallVector<Mask> masks;
  /// The leading dimensions that the scores have on the way, the last first.
  SmallVector<Lead> leads;

  /// [batch, heads]: as they are written somewhere, or else what the last ones come to.
  Lead chooseLead() const {
    const auto *pair = llvm::find_if(leads, [](const Lead &lead) { return lead.size() == 2; });
    if (pair != leads.end())
      return *pair;
    const Lead &last = leads.front();
    return last.size() == 1 ? Lead{last[0], 1}
                            : Lead{ShapedType::getNumElements(ArrayRef(last).drop_back()), last.back()};
  }

  /// The sum of the masks, or null.
  Value buildMask(ArrayRef<int64_t> lead, PatternRewriter &rewriter) {
    Value sum;
    for (Mask &each : masks) {
      Value mask = adaptMask(each.build(rewriter), each.lead, lead, rewriter);
      sum = sum ? AddOp::create(rewriter, mask.getLoc(), sum, mask) : mask;
    }
    return sum;
  }
};

/// The softmax behind a value: itself, or in the safe form select(isnan(p), 0, p), which may be reshaped. Nothing else may read it.
SoftmaxOp matchSoftmax(Value value, bool &safe) {
  if (Value inner = matchLeadReshape(value); inner && value.hasOneUse())
    value = inner;
  SoftmaxOp softmax = value.getDefiningOp<SoftmaxOp>();
  if (SoftmaxOp sunk = matchSinkWeightsDropped(value))
    softmax = sunk;
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
    else if (Value inner = matchLeadReshape(value))
      value = inner;
    else if (auto tanh = value.getDefiningOp<TanhOp>())
      value = tanh.getInput();
    else if (auto max = value.getDefiningOp<MaxOp>())
      value = max.getLhs();
    else if (auto sub = value.getDefiningOp<SubOp>())
      value = sub.getLhs();
    else if (auto mul = value.getDefiningOp<MulOp>(); mul && shapeOf(mul.getRhs()).take_back(1) == ArrayRef<int64_t>{1})
      value = mul.getLhs();
    else if (auto add = value.getDefiningOp<AddOp>())
      value = leadsToMatmul(add.getLhs()) ? add.getLhs() : add.getRhs();
    else if (auto select = value.getDefiningOp<SelectOp>())
      value = splatOf(select.getRhs()) ? select.getLhs() : select.getRhs();
    else
      return false;
  }
  return false;
}

Value scalarLike(Value value, double number, PatternRewriter &rewriter) {
  auto type = RankedTensorType::get({}, elementOf(value));
  auto attribute = DenseElementsAttr::get(type, Attribute(rewriter.getFloatAttr(elementOf(value), number)));
  return ConstantOp::create(rewriter, value.getLoc(), type, attribute);
}

/// Collects masks and factors from the softmax's input down to the product.
class ScoresMatcher {
public:
  std::optional<Scores> match(Value value) {
    while (true) {
      if (leadOf(value) != (scores.leads.empty() ? Lead() : scores.leads.back()))
        scores.leads.push_back(leadOf(value));
      if (auto matmul = value.getDefiningOp<MatmulOp>()) {
        scores.q = matmul.getLhs();
        scores.kTransposed = matmul.getRhs();
        return scores;
      }
      if (Value inner = matchLeadReshape(value)) {
        value = inner;
        continue;
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
    if (scores.softcap != 0 || scores.rowFactor)
      return nullptr;
    if (auto mul = value.getDefiningOp<MulOp>(); mul && shapeOf(mul.getRhs()).take_back(1) == ArrayRef<int64_t>{1}) {
      scores.rowFactor = mul.getRhs();
      scores.rowFactorLead = leadOf(value);
      return mul.getLhs();
    }
    if (auto add = value.getDefiningOp<AddOp>())
      for (auto [inner, mask] : {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())})
        if (leadsToMatmul(inner))
          return stepMask(inner, leadOf(value), [mask](PatternRewriter &) { return mask; });
    if (auto sub = value.getDefiningOp<SubOp>(); sub && leadsToMatmul(sub.getLhs()))
      return stepMask(sub.getLhs(), leadOf(value), [mask = sub.getRhs()](PatternRewriter &rewriter) -> Value {
        return NegOp::create(rewriter, mask.getLoc(), mask);
      });
    if (auto select = value.getDefiningOp<SelectOp>())
      return stepSelect(select);
    if (auto max = value.getDefiningOp<MaxOp>())
      return stepMax(max);
    return nullptr;
  }

  /// max(scores + mask, low) is scores + max(mask, low) for a low number beside which scores vanish.
  Value stepMax(MaxOp max) {
    if (scores.scale != 1 || splatOf(max.getRhs()).value_or(0) > kLow)
      return nullptr;
    floor = max.getRhs();
    return max.getLhs();
  }

  /// (scores + mask) * c is scores * c + mask * c.
  Value stepMask(Value inner, Lead lead, std::function<Value(PatternRewriter &)> build) {
    auto rest = [build, factor = scores.scale, floor = floor](PatternRewriter &rewriter) -> Value {
      Value mask = build(rewriter);
      if (factor != 1)
        mask = MulOp::create(rewriter, mask.getLoc(), mask, scalarLike(mask, factor, rewriter));
      return floor ? MaxOp::create(rewriter, floor.getLoc(), mask, floor) : mask;
    };
    scores.masks.push_back({rest, lead});
    return inner;
  }

  /// x * c, or c * tanh(x / c).
  Value stepScaled(const Scaled &scaled) {
    if (auto tanh = scaled.value.getDefiningOp<TanhOp>()) {
      if (scores.softcap != 0 || scores.scale != 1 || scores.rowFactor)
        return nullptr;
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
    bool keepsLeft = splatOf(select.getRhs()).value_or(0) <= kLow;
    if (!keepsLeft && splatOf(select.getLhs()).value_or(0) > kLow)
      return nullptr;
    auto build = [select, keepsLeft](PatternRewriter &rewriter) mutable -> Value {
      Value fill = keepsLeft ? select.getRhs() : select.getLhs();
      Value zero = scalarLike(fill, 0, rewriter), low = scalarLike(fill, *splatOf(fill), rewriter);
      return SelectOp::create(rewriter, select.getLoc(), select.getCondition(), keepsLeft ? zero : low,
                              keepsLeft ? low : zero);
    };
    return stepMask(keepsLeft ? select.getLhs() : select.getRhs(), leadOf(select), build);
  }

  Scores scores;
  Value floor; // below which no score is, or null
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
  return withShape(repeat.getInput(), {narrow[0], narrow[1], narrow[3], narrow[4]}, rewriter);
}

/// Whether products of queries with keys, or of weights with values, are what attention makes of [batch, heads] in `lead`: each head has
/// keys of its own, or all read the same ones.
bool isPerHead(Value left, Value right, ArrayRef<int64_t> lead) {
  if (leadOf(left) == leadOf(right))
    return true;
  return ArrayRef(leadOf(left)) == lead && ArrayRef(leadOf(right)) == ArrayRef<int64_t>{lead[0], 1};
}

struct RecognizeAttention : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    bool safe = false;
    SoftmaxOp softmax = matchSoftmax(op.getLhs(), safe);
    if (!softmax || rankOf(op.getResult()) < 3 || rankOf(softmax) < 3)
      return failure();
    std::optional<Scores> scores = matchScores(softmax, shapeOf(op.getLhs()).back());
    Lead lead = scores ? scores->chooseLead() : Lead{0};
    if (llvm::is_contained(lead, 0))
      return failure();
    Value v = op.getRhs();
    if (!isPerHead(scores->q, scores->kTransposed, lead) || !isPerHead(op.getLhs(), v, lead) ||
        (leadOf(scores->q) == leadOf(scores->kTransposed)) != (leadOf(op.getLhs()) == leadOf(v)))
      return failure();
    Value q = peelScale(scores->q, scores->scale),
          k = swapLast(peelScale(scores->kTransposed, scores->scale), rewriter);
    k = peelScale(k, scores->scale);
    if (auto transpose = k.getDefiningOp<TransposeOp>())
      if (Value inner = peelScale(transpose.getInput(), scores->scale); inner != transpose.getInput())
        k = rewriter.createOrFold<TransposeOp>(k.getLoc(), inner, transpose.getPermutation());
    q = withLead(q, lead, rewriter);
    if (scores->rowFactor)
      q = MulOp::create(rewriter, op.getLoc(), q, adaptMask(scores->rowFactor, scores->rowFactorLead, lead, rewriter));
    Lead keyLead = leadOf(op.getLhs()) == leadOf(v) ? lead : Lead{lead[0], 1};
    k = withLead(k, keyLead, rewriter);
    v = withLead(v, keyLead, rewriter);
    bool repeated = areRepeated(k, v);
    replace(op, *scores, {q, repeated ? unrepeat(k, rewriter) : k, repeated ? unrepeat(v, rewriter) : v}, safe,
            rewriter);
    return success();
  }

  /// The scores, but for a sink, of softmax whose first `keys` weights are read.
  static std::optional<Scores> matchScores(SoftmaxOp softmax, int64_t keys) {
    Value input = softmax.getInput(), sink;
    if (shapeOf(input).back() != keys) {
      auto sunk = matchSink(input);
      if (!sunk)
        return std::nullopt;
      input = sunk->scores;
      sink = sunk->sink;
    }
    auto scores = leadsToMatmul(input) ? ScoresMatcher().match(input) : std::nullopt;
    if (scores)
      scores->sink = sink;
    return scores;
  }

  static void replace(MatmulOp op, Scores &scores, SmallVector<Value> qkv, bool safe, PatternRewriter &rewriter) {
    Value mask = scores.buildMask(leadOf(qkv[0]), rewriter);
    if (scores.sink) {
      mask = appendSink(mask, adaptMask(scores.sink, scores.leads.front(), leadOf(qkv[0]), rewriter),
                        shapeOf(qkv[1])[2], rewriter);
      for (Value &value : {std::ref(qkv[1]), std::ref(qkv[2])})
        value = appendZeroKey(value, rewriter);
    }
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
