#include "mpopt/Cost/Training/Step.h"

#include <algorithm>

namespace mpopt::cost {

using machine::Machine;
using machine::Stack;

namespace {

void addTimes(PartSeconds &sum, const PartSeconds &part, double times) {
  sum.forward += times * part.forward;
  sum.inputGradient += times * part.inputGradient;
  sum.weightGradient += times * part.weightGradient;
}

double tokensOf(const TransformerShape &shape, const TrainingPlan &plan) {
  return double(plan.microbatch * shape.sequence / plan.cp);
}

/// Bytes of one layer's activations for one microbatch without recomputation: per token the inputs of two norms and of
/// two matrices and two dropout masks, which tp does not split unless sequence parallel; query, key, value and the
/// attention's output; the feed-forward block's inner values before and after its activation (Korthikanti et al. 2022,
/// equation 1, there for feedForward = 4 hidden). Narrow arithmetic keeps what only matrices read in 8 bits.
double linearActivations(const Stack &stack, const TransformerShape &shape, const TrainingPlan &plan) {
  double h = double(shape.hidden), tp = double(plan.tp), size = bytesOf(wideType(plan));
  double narrow = linearType(plan) == wideType(plan) ? size : 1;
  double whole = (2 * size + 2 * narrow + (stack.dropout ? 2 : 0)) * h / (plan.sequenceParallel ? tp : 1);
  double heads = (2 * h + 2 * h * double(shape.kvHeads) / double(shape.heads)) * size;
  double inner = ((shape.gated ? 2 : 1) * size + narrow) * double(shape.feedForward * shape.topExperts);
  return tokensOf(shape, plan) * (whole + (heads + inner) / tp) * stack.activations;
}

/// Softmax and, with dropout, its mask and result: 5 bytes a score.
double scoreActivations(const Stack &stack, const TransformerShape &shape, const TrainingPlan &plan) {
  if (stack.fusedAttention)
    return 0;
  double size = stack.dropout ? 2 * bytesOf(wideType(plan)) + 1 : bytesOf(wideType(plan));
  return size * tokensOf(shape, plan) * double(shape.sequence) * double(shape.heads) / double(plan.tp);
}

double layerActivations(const Stack &stack, const TransformerShape &shape, const TrainingPlan &plan) {
  if (plan.recompute == Recompute::Full) {
    double split = plan.sequenceParallel ? double(plan.tp) : 1;
    return tokensOf(shape, plan) * double(shape.hidden) * bytesOf(wideType(plan)) / split;
  }
  double linear = linearActivations(stack, shape, plan);
  return plan.recompute == Recompute::Selective ? linear : linear + scoreActivations(stack, shape, plan);
}

} // namespace

TransformerPrices::TransformerPrices(const Machine &machine, const Stack &stack, const TransformerShape &shape,
                                     const TrainingPlan &plan)
    : stack(stack), shape(shape), plan(plan), layer(layerSeconds(machine, stack, shape, plan)),
      embedding(embeddingSeconds(machine, stack, shape, plan)), logits(logitSeconds(machine, stack, shape, plan)) {}

PartSeconds TransformerPrices::range(int64_t first, int64_t count) const {
  PartSeconds sum;
  addTimes(sum, layer, double(count));
  if (first == 0)
    addTimes(sum, embedding, 1);
  if (first + count == shape.layers)
    addTimes(sum, logits, 1);
  return sum;
}

double TransformerPrices::parameters(int64_t first, int64_t count) const {
  TransformerShape held = shape;
  held.experts = shape.experts / plan.ep;
  double embeddings = (first == 0 ? 1 : 0) + (first + count == shape.layers && !(shape.tied && first == 0) ? 1 : 0);
  return (double(count) * layerParameters(held) + embeddings * embeddingParameters(shape)) / double(plan.tp);
}

double TransformerPrices::activationBytes(int64_t first, int64_t count) const {
  return double(count) * layerActivations(stack, shape, plan);
}

double TransformerPrices::workingBytes(int64_t first, int64_t count) const {
  double layer = plan.recompute == Recompute::Full
                     ? linearActivations(stack, shape, plan) + scoreActivations(stack, shape, plan)
                 : plan.recompute == Recompute::Selective ? scoreActivations(stack, shape, plan)
                                                          : 0;
  if (first + count < shape.layers)
    return layer;
  // All in 16 bits, the loss has no 32-bit copies.
  double perLogit = stack.logitBytes * (plan.precision == Precision::Pure16 ? 0.5 : bytesOf(wideType(plan)) / 2);
  return std::max(layer, tokensOf(shape, plan) * double(localVocabulary(stack, shape, plan)) * perLogit);
}

double TransformerPrices::boundaryBytes() const {
  return tokensOf(shape, plan) * double(shape.hidden) * bytesOf(wideType(plan)) / double(plan.tp);
}

PartSeconds MixedPrices::range(int64_t first, int64_t count) const {
  PartSeconds sum;
  eachPart(first, count, [&](const TrainingPrices &prices, int64_t begin, int64_t taken) {
    addTimes(sum, prices.range(begin, taken), 1);
  });
  return sum;
}

double MixedPrices::activationBytes(int64_t first, int64_t count) const {
  double sum = 0;
  eachPart(first, count, [&](const TrainingPrices &prices, int64_t begin, int64_t taken) {
    sum += prices.activationBytes(begin, taken);
  });
  return sum;
}

double MixedPrices::workingBytes(int64_t first, int64_t count) const {
  double most = 0;
  eachPart(first, count, [&](const TrainingPrices &prices, int64_t begin, int64_t taken) {
    most = std::max(most, prices.workingBytes(begin, taken));
  });
  return most;
}

} // namespace mpopt::cost
