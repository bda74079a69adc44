#include "mpopt/Cost/Training/Layer.h"
#include "mpopt/Cost/Cost.h"
#include "mpopt/Cost/Training/Traffic.h"

#include <algorithm>
#include <cmath>

namespace mpopt::cost {

using machine::DType;
using machine::LayerProfile;
using machine::Machine;
using machine::Stack;

namespace {

constexpr double kUnalignedSlowdown = 3.5;
constexpr double kBackwardBytes = 1.7; ///< Of element-wise work, relative to forward.
constexpr double kLayerLaunches = 30;
constexpr double kFusedAttentionSaves = 6;
constexpr double kBackwardLaunches = 1.35; ///< Relative to forward.
constexpr double kCollectiveLaunches = 2;

/// What the prices of one layer share.
struct Context {
  const Machine &machine;
  const Stack &stack;
  const TransformerShape &shape;
  const TrainingPlan &plan;

  int64_t tokens() const { return plan.microbatch * shape.sequence / plan.cp; }
  double pointwise(double bytes) const {
    return stack.pointwise * bytes * bytesOf(wideType(plan)) / 2 / machine.device().memoryBandwidth;
  }
  double product(DType type, int64_t batch, int64_t m, int64_t n, int64_t k) const {
    return productSeconds(machine, stack, type, batch, m, n, k);
  }
};

/// A linear layer of n x k weights on m tokens, in `batch` copies.
void addLinear(const Context &c, PartWork &work, int64_t batch, int64_t m, int64_t n, int64_t k) {
  DType type = linearType(c.plan);
  // Narrow arithmetic reads wide activations and writes narrow ones first, forward and for each gradient.
  double cast = bytesOf(type) < 2 ? c.pointwise(double(batch) * double(m) * double(k) * 3) : 0;
  double castGradient = bytesOf(type) < 2 ? c.pointwise(double(batch) * double(m) * double(n) * 3) : 0;
  work.forward.device += c.product(type, batch, m, n, k) + cast;
  work.inputGradient.device += c.product(type, batch, m, k, n) + castGradient;
  work.weightGradient.device += c.product(type, batch, k, n, m) + cast;
}

void addFusedAttention(const Context &c, PartWork &work) {
  double pairs = double(c.tokens()) * double(c.shape.sequence) * (c.shape.causal ? 0.5 : 1);
  double flops = 4 * pairs * double(c.shape.hidden) / double(c.plan.tp);
  const machine::DeviceType &device = c.machine.device();
  double rate = device.peakFlops(wideType(c.plan)) * device.matmul.efficiency * c.stack.matmul * c.stack.attention;
  // Keys and values travel around the ring of cp while attention runs.
  double keys = 2 * double(c.plan.microbatch * c.shape.sequence) * double(c.shape.hidden) * double(c.shape.kvHeads) /
                double(c.shape.heads) / double(c.plan.tp) * bytesOf(wideType(c.plan));
  double ring = scatterSeconds(c.machine, c.stack, contextGroup(c.plan), keys);
  work.forward.device += std::max(flops / rate, ring);
  // Flash attention recomputes the scores: five products instead of two (Dao 2023).
  work.inputGradient.device += std::max(2.5 * flops / rate, 2 * ring);
}

/// Bytes per score: softmax reads and writes 2, dropout reads 2 and writes 2 and a mask byte; backward two more.
void addUnfusedAttention(const Context &c, PartWork &work) {
  int64_t batch = c.plan.microbatch * c.shape.heads / c.plan.tp;
  int64_t queries = c.shape.sequence / c.plan.cp, keys = c.shape.sequence, depth = c.shape.hidden / c.shape.heads;
  DType type = wideType(c.plan);
  double scores = double(batch) * double(queries) * double(keys);
  double products = c.product(type, batch, queries, keys, depth) + c.product(type, batch, queries, depth, keys);
  double ring =
      scatterSeconds(c.machine, c.stack, contextGroup(c.plan), 4 * double(c.tokens()) * double(c.shape.hidden));
  work.forward.device += products + c.pointwise(9 * scores);
  work.inputGradient.device += 2 * products + c.pointwise(11 * scores);
  work.forward.traffic += ring;
  work.inputGradient.traffic += 2 * ring;
}

void addPointwise(const Context &c, PartWork &work) {
  double h = double(c.shape.hidden), tp = double(c.plan.tp), split = c.plan.sequenceParallel ? tp : 1;
  double qkv = 4 * h * (1 + 2 * double(c.shape.kvHeads) / double(c.shape.heads));
  double inner = (c.shape.gated ? 6 : 4) * double(c.shape.feedForward) * double(c.shape.topExperts);
  double seconds = c.pointwise(double(c.tokens()) * (22 * h / split + (qkv + inner) / tp));
  work.forward.device += seconds;
  work.inputGradient.device += kBackwardBytes * seconds;
}

void addTraffic(const Context &c, PartWork &work) {
  double bytes = double(c.tokens()) * double(c.shape.hidden) * bytesOf(wideType(c.plan));
  double seconds = 2 * reduceSeconds(c.machine, c.stack, tensorGroup(c.plan), bytes) * (1 - c.stack.tensorOverlap);
  seconds += 2 * exchangeSeconds(c.machine, c.stack, expertGroup(c.plan), bytes * double(c.shape.topExperts));
  work.forward.traffic += seconds;
  work.inputGradient.traffic += seconds;
}

void addLaunches(const Context &c, PartWork &work) {
  double launches = kLayerLaunches - (c.stack.fusedAttention ? kFusedAttentionSaves : 0);
  bool slow =
      c.stack.softmaxByFour && !c.stack.fusedAttention && c.plan.microbatch * c.shape.heads / c.plan.tp % 4 != 0;
  double extra = (slow ? c.stack.softmaxLaunches : 0) + (c.plan.tp > 1 ? 2 * kCollectiveLaunches : 0) +
                 (c.plan.ep > 1 ? 2 * kCollectiveLaunches : 0);
  work.forward.launches = launches + extra;
  // The weight gradients are four or five of the backward pass's kernels.
  work.weightGradient.launches = 5;
  work.inputGradient.launches = launches * kBackwardLaunches - 5 + extra;
}

/// Copies of the feed-forward matrices that one rank holds, tokens that each sees, and their inner width.
struct Experts {
  int64_t held, tokens, inner;
};

Experts expertsOf(const Context &c) {
  int64_t inner = std::max<int64_t>(1, c.shape.feedForward / c.plan.tp);
  if (c.shape.experts == 1)
    return {1, c.tokens(), inner};
  return {std::max<int64_t>(1, c.shape.experts / c.plan.ep),
          std::max<int64_t>(1, c.tokens() * c.shape.topExperts * c.plan.ep / c.shape.experts), inner};
}

PartWork lastProduct(const Context &c) {
  PartWork work;
  Experts experts = expertsOf(c);
  addLinear(c, work, experts.held, experts.tokens, c.shape.hidden, experts.inner);
  return work;
}

/// Of the forward pass, what the backward pass repeats.
PassWork recomputed(const Context &c, const PartWork &work) {
  if (c.plan.recompute == Recompute::Full) {
    PassWork again = work.forward;
    if (c.stack.recomputeStopsEarly)
      again.device -= lastProduct(c).forward.device;
    return again;
  }
  if (c.plan.recompute == Recompute::None || c.stack.fusedAttention)
    return {};
  PartWork attention;
  addUnfusedAttention(c, attention);
  attention.forward.launches = 6;
  return attention.forward;
}

double seconds(const Stack &stack, const PassWork &work) {
  double p = stack.overlapNorm, device = work.device + work.traffic, host = work.launches * stack.launchSeconds;
  double larger = std::max(device, host);
  return larger <= 0 ? 0 : larger * std::pow(1 + std::pow(std::min(device, host) / larger, p), 1 / p);
}

/// A profiled layer as a shape and a plan of its own, otherwise like the one asked for.
void takeFrom(const LayerProfile &layer, TransformerShape &shape, TrainingPlan &plan) {
  shape.kvHeads = std::max<int64_t>(1, shape.kvHeads * layer.heads / shape.heads);
  shape.hidden = layer.hidden;
  shape.heads = layer.heads;
  shape.feedForward = layer.feedForward;
  shape.sequence = layer.sequence;
  plan.tp = layer.tp;
  plan.microbatch = layer.microbatch;
  plan.cp = 1;
  plan.recompute = Recompute::None;
}

bool covers(const LayerProfile &layer, const TransformerShape &shape, const TrainingPlan &plan) {
  return layer.hidden == shape.hidden && layer.heads == shape.heads && layer.feedForward == shape.feedForward &&
         layer.sequence == shape.sequence && layer.tp == plan.tp && layer.microbatch == plan.microbatch && plan.cp == 1;
}

double octaves(double a, double b) { return std::log2(a / b); }

double weightOf(const LayerProfile &layer, const TransformerShape &shape, const TrainingPlan &plan) {
  double hidden = octaves(double(layer.hidden), double(shape.hidden));
  double split = octaves(double(layer.tp), double(plan.tp));
  double batch = octaves(double(layer.microbatch), double(plan.microbatch));
  double sequence = octaves(double(layer.sequence), double(shape.sequence));
  return std::exp(-0.5 * (hidden * hidden + split * split + batch * batch + sequence * sequence) / (0.7 * 0.7));
}

struct Correction {
  double forward = 1;
  double backward = 1;
};

Correction correction(const Context &c) {
  constexpr double kFaith = 0.5; // weight of "the work's price is right"
  double weights = kFaith, forward = 0, backward = 0;
  for (const LayerProfile &layer : c.stack.profile) {
    bool exact = covers(layer, c.shape, c.plan);
    double weight = exact ? 1 : weightOf(layer, c.shape, c.plan);
    if (weight < 0.01)
      continue;
    TransformerShape shape = c.shape;
    TrainingPlan plan = c.plan;
    takeFrom(layer, shape, plan);
    PartSeconds priced = analyticLayerSeconds(c.machine, c.stack, shape, plan);
    Correction factor = {layer.forwardSeconds / priced.forward, layer.backwardSeconds / priced.backward()};
    if (exact)
      return factor;
    weights += weight;
    forward += weight * std::log(factor.forward);
    backward += weight * std::log(factor.backward);
  }
  return {std::exp(forward / weights), std::exp(backward / weights)};
}

} // namespace

PassWork &PassWork::operator+=(const PassWork &other) {
  device += other.device;
  traffic += other.traffic;
  launches += other.launches;
  return *this;
}

PartSeconds secondsOf(const Stack &stack, const PartWork &work) {
  PassWork backward = work.inputGradient;
  backward += work.weightGradient;
  double both = backward.device + backward.traffic;
  double share = both > 0 ? work.weightGradient.device / both : 0;
  double total = seconds(stack, backward);
  return {seconds(stack, work.forward), total * (1 - share), total * share};
}

double productSeconds(const Machine &machine, const Stack &stack, DType type, int64_t batch, int64_t m, int64_t n,
                      int64_t k) {
  double size = bytesOf(type);
  bool aligned = std::fmod(double(n) * size, 16) == 0 && std::fmod(double(k) * size, 16) == 0;
  double arithmetic =
      matmulSeconds(machine, type, batch, m, n, k) / stack.matmul * (aligned || size > 2 ? 1 : kUnalignedSlowdown);
  double bytes = size * double(batch) * (double(m) * double(k) + double(k) * double(n)) +
                 2 * double(batch) * double(m) * double(n);
  return std::max(arithmetic, bytes / machine.device().memoryBandwidth);
}

PartWork layerWork(const Machine &machine, const Stack &stack, const TransformerShape &shape,
                   const TrainingPlan &plan) {
  Context c{machine, stack, shape, plan};
  int64_t h = shape.hidden, tp = plan.tp, tokens = c.tokens(), depth = h / shape.heads;
  Experts experts = expertsOf(c);
  PartWork work = lastProduct(c);
  addLinear(c, work, 1, tokens, (h + 2 * depth * shape.kvHeads) / tp, h);
  addLinear(c, work, 1, tokens, h, std::max<int64_t>(1, h / tp));
  addLinear(c, work, experts.held, experts.tokens, (shape.gated ? 2 : 1) * experts.inner, h);
  stack.fusedAttention ? addFusedAttention(c, work) : addUnfusedAttention(c, work);
  addPointwise(c, work);
  addTraffic(c, work);
  addLaunches(c, work);
  return work;
}

PartSeconds analyticLayerSeconds(const Machine &machine, const Stack &stack, const TransformerShape &shape,
                                 const TrainingPlan &plan) {
  PartWork work = layerWork(machine, stack, shape, plan);
  work.inputGradient += recomputed({machine, stack, shape, plan}, work);
  return secondsOf(stack, work);
}

PartSeconds layerSeconds(const Machine &machine, const Stack &stack, const TransformerShape &shape,
                         const TrainingPlan &plan) {
  PartSeconds result = analyticLayerSeconds(machine, stack, shape, plan);
  if (stack.profile.empty())
    return result;
  Correction factor = correction({machine, stack, shape, plan});
  // What is recomputed is forward work.
  double again = 0;
  if (plan.recompute != Recompute::None) {
    TrainingPlan without = plan;
    without.recompute = Recompute::None;
    again = result.backward() - analyticLayerSeconds(machine, stack, shape, without).backward();
  }
  result.forward *= factor.forward;
  result.inputGradient = (result.inputGradient - again) * factor.backward + again * factor.forward;
  result.weightGradient *= factor.backward;
  return result;
}

PartSeconds embeddingSeconds(const Machine &machine, const Stack &stack, const TransformerShape &shape,
                             const TrainingPlan &plan) {
  Context c{machine, stack, shape, plan};
  double values = double(c.tokens()) * double(shape.hidden);
  PartWork work;
  work.forward.device = c.pointwise(12 * values);
  work.weightGradient.device = c.pointwise(12 * values);
  work.forward.traffic =
      reduceSeconds(machine, stack, tensorGroup(plan), values * bytesOf(wideType(plan))) * (1 - stack.tensorOverlap);
  work.forward.launches = 6;
  work.weightGradient.launches = 4;
  return secondsOf(stack, work);
}

int64_t localVocabulary(const Stack &stack, const TransformerShape &shape, const TrainingPlan &plan) {
  if (!stack.paddedVocabulary && shape.vocabulary % plan.tp == 0)
    return shape.vocabulary / plan.tp;
  int64_t unit = 128 * plan.tp;
  return (shape.vocabulary + unit - 1) / unit * 128;
}

PartSeconds logitSeconds(const Machine &machine, const Stack &stack, const TransformerShape &shape,
                         const TrainingPlan &plan) {
  Context c{machine, stack, shape, plan};
  int64_t vocabulary = localVocabulary(stack, shape, plan), h = shape.hidden;
  DType type = wideType(plan);
  double logits = double(c.tokens()) * double(vocabulary);
  double reduce = reduceSeconds(machine, stack, tensorGroup(plan), double(c.tokens() * h) * bytesOf(type)) *
                  (1 - stack.tensorOverlap);
  PartWork work;
  // 16-bit logits to 32 bits, maximum, exponential, sum; back: gradient, 32 bits to 16.
  work.forward.device = c.product(type, 1, c.tokens(), vocabulary, h) + c.pointwise(14 * logits);
  work.inputGradient.device = c.product(type, 1, c.tokens(), h, vocabulary) + c.pointwise(10 * logits);
  work.weightGradient.device = c.product(type, 1, h, vocabulary, c.tokens());
  work.inputGradient.traffic = reduce;
  work.forward.launches = 20;
  work.inputGradient.launches = 14;
  work.weightGradient.launches = 2;
  return secondsOf(stack, work);
}

} // namespace mpopt::cost
