#include "Transformer.h"

#include <cmath>

using namespace mlir;

namespace mpopt::planning {

namespace {

/// How far a layer's parameters may be from those of its shape: norms and biases, which the shape leaves out.
constexpr double kTolerance = 0.03;

ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

/// Reads one layer of a transformer.
class LayerReader {
public:
  LayerReader(const Chain &chain, const Repeat &layer) : chain(chain), layer(layer) {}

  Result<cost::TransformerShape> read() {
    SmallVector<nn::AttentionOp> attentions;
    for (Operation *op : copy())
      if (auto attention = dyn_cast<nn::AttentionOp>(op))
        attentions.push_back(attention);
    if (attentions.size() != 1)
      return error("its repeated layer has " + std::to_string(attentions.size()) + " attention operators");
    if (Status status = countLayers(attentions[0]); !status)
      return tl::unexpected<Error>(status.error());
    if (Status status = readAttention(attentions[0]); !status)
      return tl::unexpected<Error>(status.error());
    if (Status status = readFeedForward(); !status)
      return tl::unexpected<Error>(status.error());
    double found = chain.parameters(layer.begin, layer.begin + layer.period), known = cost::layerParameters(shape);
    if (std::abs(found - known) > kTolerance * known)
      return error("its repeated layer has weights besides attention and a feed-forward block");
    readVocabulary();
    return shape;
  }

private:
  ArrayRef<Operation *> copy() const { return chain.operators().slice(layer.begin, layer.period); }

  /// The first and the last layer may differ in what exporters put between layers (a mask's computation), so attentions are counted.
  Status countLayers(nn::AttentionOp attention) {
    shape.layers = 0;
    for (Operation *op : chain.operators())
      if (auto other = dyn_cast<nn::AttentionOp>(op)) {
        if (other.getQuery().getType() != attention.getQuery().getType() ||
            other.getKey().getType() != attention.getKey().getType())
          return error("it has attention operators of different shapes");
        ++shape.layers;
        // Of all layers, since a repeated stretch may begin in the middle of one.
        for (Value value : {other.getQuery(), other.getKey(), other.getValue()})
          used.insert(producer(value));
        used.insert(consumer(other.getResult()));
      }
    return {};
  }

  bool isProjection(Operation *op) const {
    return isa<nn::MatmulOp>(op) && chain.isRunTime(op->getOperand(0)) && !chain.weightsOf(op).empty();
  }

  /// The projection that a value comes from, by the operators' first operands that are no weights.
  nn::MatmulOp producer(Value value) const {
    while (Operation *op = value.getDefiningOp()) {
      if (isProjection(op))
        return cast<nn::MatmulOp>(op);
      auto next = llvm::find_if(op->getOperands(), [&](Value operand) { return chain.isRunTime(operand); });
      if (next == op->getOperands().end())
        return nullptr;
      value = *next;
    }
    return nullptr;
  }

  /// The projection that a value goes to, through operators with one result and one user.
  nn::MatmulOp consumer(Value value) const {
    while (value.hasOneUse()) {
      Operation *op = *value.user_begin();
      if (isProjection(op))
        return cast<nn::MatmulOp>(op);
      if (op->getNumResults() != 1)
        return nullptr;
      value = op->getResult(0);
    }
    return nullptr;
  }

  Status readAttention(nn::AttentionOp attention) {
    nn::MatmulOp query = producer(attention.getQuery()), output = consumer(attention.getResult());
    if (!query || !output)
      return error("its attention has no projections");
    shape.hidden = shapeOf(query.getRhs()).drop_back().back();
    shape.heads = shapeOf(attention.getQuery())[1];
    shape.kvHeads = shapeOf(attention.getKey())[1];
    shape.sequence = shapeOf(attention.getQuery())[2];
    shape.causal = attention.getCausal();
    if (shape.heads * shapeOf(attention.getQuery())[3] != shape.hidden)
      return error("its heads together are not as wide as its hidden size");
    return {};
  }

  Status readFeedForward() {
    SmallVector<nn::MatmulOp> products;
    for (Operation *op : copy()) {
      if (auto experts = dyn_cast<nn::ExpertsOp>(op)) {
        shape.experts = shapeOf(experts.getUp())[0];
        shape.feedForward = shapeOf(experts.getUp())[2];
        shape.topExperts = shapeOf(experts.getIndices()).back();
        shape.gated = experts.getGate() != nullptr;
      } else if (isProjection(op) && !used.contains(op)) {
        products.push_back(cast<nn::MatmulOp>(op));
      }
    }
    if (shape.experts > 1) // what is left is the router
      return {};
    if (products.size() != 2 && products.size() != 3)
      return error("its repeated layer has " + std::to_string(products.size()) +
                   " products besides those of attention");
    int64_t inner = shapeOf(products.back().getRhs()).drop_back().back();
    shape.feedForward = inner;
    shape.gated = products.size() == 3 || shapeOf(products[0].getRhs()).back() == 2 * inner;
    return {};
  }

  /// From the largest table that is read before the layers, and from the last product after them, which in a model with a table gives logits
  /// only if it has as many columns as the table has rows.
  void readVocabulary() {
    nn::WeightOp table, logits;
    int64_t rows = 1, columns = 0;
    for (Operation *op : chain.operators().take_front(layer.begin))
      if (auto gather = dyn_cast<nn::GatherOp>(op))
        for (nn::WeightOp weight : chain.weightsOf(op))
          if (shapeOf(weight)[0] > rows) {
            table = weight;
            rows = shapeOf(weight)[0];
          }
    for (Operation *op : chain.operators().drop_front(layer.end()))
      if (isProjection(op) && (!table || shapeOf(op->getOperand(1)).back() == rows)) {
        logits = chain.weightsOf(op).front();
        columns = shapeOf(op->getOperand(1)).back();
      }
    shape.vocabulary = columns > 0 ? columns : rows;
    shape.tied = !logits || logits == table;
  }

  const Chain &chain;
  const Repeat &layer;
  cost::TransformerShape shape;
  DenseSet<Operation *> used;
};

} // namespace

Result<cost::TransformerShape> transformerShape(const Chain &chain, const Repeat &layer) {
  return LayerReader(chain, layer).read();
}

} // namespace mpopt::planning
