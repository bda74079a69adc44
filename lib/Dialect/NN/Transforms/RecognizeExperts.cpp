#include "Match.h"
#include "Settle.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

namespace mpopt::nn {
#define GEN_PASS_DEF_RECOGNIZEEXPERTS
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"
} // namespace mpopt::nn

using namespace mlir;
using namespace mpopt::nn;

namespace {

int64_t elementsOf(Value value) { return ShapedType::getNumElements(shapeOf(value)); }

Value reshaped(Value value, ArrayRef<int64_t> shape, PatternRewriter &rewriter) {
  auto type = cast<RankedTensorType>(value.getType()).clone(shape);
  return rewriter.createOrFold<ReshapeOp>(value.getLoc(), type, value);
}

Value throughReshapes(Value value) {
  while (auto reshape = value.getDefiningOp<ReshapeOp>())
    value = reshape.getInput();
  return value;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// A matrix per row, looked up among those of all experts.
struct Lookup {
  Value weights, indices; ///< [experts, .., ..] and the experts' numbers, one per row.
};

std::optional<Lookup> matchLookup(Value value) {
  Value weights, indices;
  if (auto gather = value.getDefiningOp<GatherOp>(); gather && gather.getAxis() == 0 && !gather.getOffset()) {
    weights = gather.getInput();
    indices = gather.getIndices();
  } else if (auto gather = value.getDefiningOp<GatherNdOp>();
             gather && gather.getBatchDims() == 0 && shapeOf(gather.getIndices()).back() == 1) {
    weights = gather.getInput();
    indices = gather.getIndices();
  }
  if (!weights || rankOf(weights) != 3 || !isInitTime(weights) || isInitTime(indices) || elementsOf(indices) == 0)
    return std::nullopt;
  return Lookup{weights, indices};
}

/// The rows of which `value`, [rows, depth] up to reshapes, repeats each several times in a row; the value itself otherwise.
Value withoutRepeats(Value value, int64_t depth) {
  Value source = throughReshapes(value);
  auto broadcast = source.getDefiningOp<BroadcastOp>();
  if (!broadcast || rankOf(broadcast.getInput()) != rankOf(source) || rankOf(source) < 2)
    return value;
  ArrayRef<int64_t> from = shapeOf(broadcast.getInput()).drop_back(), to = shapeOf(source).drop_back();
  // Behind the dimensions that number the rows stand those that number the repetitions.
  size_t same = std::mismatch(from.begin(), from.end(), to.begin()).first - from.begin();
  bool repeatsRows = shapeOf(source).back() == depth && shapeOf(broadcast.getInput()).back() == depth &&
                     llvm::all_of(from.drop_front(same), [](int64_t size) { return size == 1; });
  return repeatsRows ? broadcast.getInput() : value;
}

/// A product of each row by the matrix looked up for it is an expert_matmul: nothing is copied per row.
struct RecognizeExpertMatmul : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    // Row vectors from the left, or columns from the right of transposed matrices.
    for (bool fromLeft : {true, false}) {
      Value vector = fromLeft ? op.getLhs() : op.getRhs();
      auto lookup = matchLookup(fromLeft ? op.getRhs() : op.getLhs());
      ArrayRef<int64_t> shape = shapeOf(vector);
      size_t rank = shape.size();
      if (!lookup || shape[fromLeft ? rank - 2 : rank - 1] != 1)
        continue;
      int64_t rows = elementsOf(lookup->indices), depth = shape[fromLeft ? rank - 1 : rank - 2];
      if (elementsOf(vector) != rows * depth || elementsOf(op.getResult()) % rows != 0)
        continue;
      Value lhs = withoutRepeats(vector, depth);
      lhs = reshaped(lhs, {elementsOf(lhs) / depth, depth}, rewriter);
      Value weights = lookup->weights;
      if (!fromLeft)
        weights = rewriter.createOrFold<TransposeOp>(weights.getLoc(), weights, ArrayRef<int64_t>{0, 2, 1});
      Value indices = reshaped(lookup->indices, {rows}, rewriter);
      Value product = ExpertMatmulOp::create(rewriter, op.getLoc(), lhs, weights, indices, IntegerAttr());
      rewriter.replaceOp(op, reshaped(product, shapeOf(op.getResult()), rewriter));
      return success();
    }
    return failure();
  }
};

//===----------------------------------------------------------------------===//
// Perceptrons
//===----------------------------------------------------------------------===//

/// A projection of tokens by their experts: all or a run of the columns of an expert_matmul.
struct Projection {
  ExpertMatmulOp op;
  int64_t start = 0, size = 0;
};

std::optional<Projection> matchProjection(Value value) {
  Value source = throughReshapes(value);
  if (auto op = source.getDefiningOp<ExpertMatmulOp>())
    return Projection{op, 0, shapeOf(op.getResult())[1]};
  auto slice = source.getDefiningOp<SliceOp>();
  auto op = slice ? throughReshapes(slice.getInput()).getDefiningOp<ExpertMatmulOp>() : nullptr;
  if (!op)
    return std::nullopt;
  ArrayRef<int64_t> shape = shapeOf(slice.getInput());
  if (shape.back() != shapeOf(op.getResult())[1] || slice.getSizes().drop_back() != shape.drop_back() ||
      llvm::any_of(slice.getSteps(), [](int64_t step) { return step != 1; }))
    return std::nullopt;
  return Projection{op, slice.getStarts().back(), slice.getSizes().back()};
}

std::optional<std::pair<Activation, Value>> matchActivation(Value value) {
  Value source = throughReshapes(value);
  if (auto silu = source.getDefiningOp<SiluOp>())
    return std::pair(Activation::Silu, silu.getInput());
  if (auto relu = source.getDefiningOp<ReluOp>())
    return std::pair(Activation::Relu, relu.getInput());
  if (auto gelu = source.getDefiningOp<GeluOp>())
    return std::pair(gelu.getTanh() ? Activation::GeluTanh : Activation::Gelu, gelu.getInput());
  return std::nullopt;
}

struct Hidden {
  Projection up;
  std::optional<Projection> gate;
  Activation activation;
};

std::optional<Hidden> matchHidden(Value value) {
  if (auto plain = matchActivation(value)) {
    auto up = matchProjection(plain->second);
    return up ? std::optional(Hidden{*up, std::nullopt, plain->first}) : std::nullopt;
  }
  auto mul = throughReshapes(value).getDefiningOp<MulOp>();
  if (!mul || mul.getLhs().getType() != mul.getRhs().getType())
    return std::nullopt;
  for (auto [a, b] : {std::pair(mul.getLhs(), mul.getRhs()), std::pair(mul.getRhs(), mul.getLhs())}) {
    auto activated = matchActivation(a);
    auto gate = activated ? matchProjection(activated->second) : std::nullopt;
    auto up = matchProjection(b);
    if (gate && up && gate->op.getLhs() == up->op.getLhs() && gate->size == up->size)
      return Hidden{*up, gate, activated->first};
  }
  return std::nullopt;
}

/// The rows' results and shares of their product, one share per row.
struct Weighted {
  ExpertMatmulOp down;
  Value scales;
};

std::optional<Weighted> matchWeighted(Value value) {
  auto mul = throughReshapes(value).getDefiningOp<MulOp>();
  if (!mul)
    return std::nullopt;
  for (auto [a, b] : {std::pair(mul.getLhs(), mul.getRhs()), std::pair(mul.getRhs(), mul.getLhs())}) {
    auto down = throughReshapes(a).getDefiningOp<ExpertMatmulOp>();
    if (down && elementsOf(a) == elementsOf(mul.getResult()) && elementsOf(b) == shapeOf(down.getIndices())[0] &&
        shapeOf(b).back() == 1 && shapeOf(a).back() == shapeOf(down.getResult())[1])
      return Weighted{down, b};
  }
  return std::nullopt;
}

/// The source of a value, through reshapes, that has the chosen experts of a token as its last dimension; the flat value as [tokens, chosen]
/// where there is none.
Value byToken(Value value, int64_t tokens, int64_t chosen, PatternRewriter &rewriter) {
  for (Value source = value;; source = source.getDefiningOp<ReshapeOp>().getInput()) {
    if (rankOf(source) > 1 && shapeOf(source).back() == chosen && !source.getDefiningOp<ReshapeOp>())
      return source;
    if (!source.getDefiningOp<ReshapeOp>())
      return reshaped(value, {tokens, chosen}, rewriter);
  }
}

/// The scaled sum over a token's experts of two projections with an activation between.
struct RecognizeExperts : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReduceOp op, PatternRewriter &rewriter) const override {
    ArrayRef<int64_t> shape = shapeOf(op.getInput());
    if (op.getKind() != ReduceKind::Sum || op.getAxes().size() != 1 || shape.size() < 2 ||
        op.getAxes()[0] != static_cast<int64_t>(shape.size()) - 2)
      return failure();
    auto weighted = matchWeighted(op.getInput());
    auto hidden = weighted ? matchHidden(weighted->down.getLhs()) : std::nullopt;
    int64_t chosen = shape[shape.size() - 2];
    if (!hidden || shape.back() != shapeOf(weighted->down.getResult())[1] || !agree(*weighted, *hidden, chosen))
      return failure();
    rewriter.replaceOp(op, build(op, *weighted, *hidden, chosen, rewriter));
    return success();
  }

private:
  /// Whether all rows are sent alike, and each token's rows follow one another.
  static bool agree(const Weighted &weighted, Hidden &hidden, int64_t chosen) {
    ExpertMatmulOp down = weighted.down;
    Value indices = throughReshapes(down.getIndices());
    auto sentAlike = [&](Projection &projection) {
      return throughReshapes(projection.op.getIndices()) == indices && !projection.op.getN();
    };
    int64_t rows = shapeOf(down.getIndices())[0], tokens = shapeOf(hidden.up.op.getLhs())[0];
    return !down.getN() && sentAlike(hidden.up) && (!hidden.gate || sentAlike(*hidden.gate)) &&
           shapeOf(down.getLhs())[0] == rows && shapeOf(down.getLhs())[1] == hidden.up.size && tokens * chosen == rows;
  }

  static Value columns(Projection projection, PatternRewriter &rewriter) {
    Value weights = projection.op.getWeights();
    SmallVector<int64_t> starts{0, 0, projection.start}, sizes(shapeOf(weights)), steps{1, 1, 1};
    sizes[2] = projection.size;
    return rewriter.createOrFold<SliceOp>(weights.getLoc(), weights, starts, sizes, steps);
  }

  static Value build(ReduceOp op, Weighted &weighted, Hidden &hidden, int64_t chosen, PatternRewriter &rewriter) {
    Value input = hidden.up.op.getLhs();
    int64_t tokens = shapeOf(input)[0], width = shapeOf(input)[1];
    Value indices = byToken(weighted.down.getIndices(), tokens, chosen, rewriter);
    Value scales = byToken(weighted.scales, tokens, chosen, rewriter);
    SmallVector<int64_t> lead(shapeOf(indices).drop_back());
    scales = reshaped(scales, shapeOf(indices), rewriter);
    lead.push_back(width);
    Value up = columns(hidden.up, rewriter), gate = hidden.gate ? columns(*hidden.gate, rewriter) : Value();
    Value made = ExpertsOp::create(rewriter, op.getLoc(), reshaped(input, lead, rewriter), indices, scales, up,
                                   weighted.down.getWeights(), gate, hidden.activation);
    return reshaped(made, shapeOf(op.getResult()), rewriter);
  }
};

struct RecognizeExpertsPass : mpopt::nn::impl::RecognizeExpertsBase<RecognizeExpertsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeExpertMatmul, RecognizeExperts>(&getContext());
    rewriteUntilSettled(getOperation(), std::move(patterns), getArgument());
  }
};

} // namespace
