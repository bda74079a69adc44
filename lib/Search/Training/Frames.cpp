#include "Frames.h"
#include "mpopt/Cost/Training/Traffic.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace mpopt::search {

using cost::Recompute;
using cost::Schedule;
using cost::StateSharding;

namespace {

constexpr std::array<StateSharding, 4> kShardings = {StateSharding::None, StateSharding::Optimizer,
                                                     StateSharding::Gradients, StateSharding::Parameters};

/// More chunks per stage than these leave less than a sixteenth of the bubble to gain.
constexpr int64_t kMostChunks = 16, kFewChunks = 4;

bool allows(const std::optional<int64_t> &pin, int64_t value) { return !pin || *pin == value; }
template <typename T> bool allows(const std::optional<T> &pin, T value) { return !pin || *pin == value; }

/// Estimates a frame's step.
class Estimator {
public:
  explicit Estimator(const TrainingQuery &query)
      : query(query), machine(*query.machine), stack(*query.stack), recomputes(recomputations(query)),
        limit(memoryLimit(query)) {}

  /// Infinity where even evenly used memory does not do.
  double seconds(const Frame &frame) const {
    cost::TrainingPlan plan = frame.plan(query);
    double stages = double(frame.pp);
    double parameters = frame.cell->parameters / stages;
    double room = limit - stack.reserveBytes - cost::stateBytes(stack, plan) * parameters;
    if (plan.sharding == StateSharding::Parameters)
      room -= 8 * frame.cell->prices(Recompute::None).parameters(1, 1);
    cost::PartSeconds pass = leastWithin(frame, room);
    if (pass.forward == kForbidden)
      return kForbidden;
    // Interleaving also spreads embedding and logits, but no stage is free of its share.
    for (double *part : {&pass.forward, &pass.inputGradient, &pass.weightGradient})
      *part /= stages;
    addState(pass, plan, parameters / double(frame.interleave));
    return pipeline(frame, pass) + perStep(plan, parameters) + stack.stepSeconds;
  }

private:
  /// The least seconds of all layers when all stages together use no more than their room; recomputing a share of the layers.
  cost::PartSeconds leastWithin(const Frame &frame, double room) const {
    double stages = double(frame.pp), held = this->held(frame) * evenShare(frame);
    const Cell::Whole *larger = nullptr;
    for (Recompute recompute : recomputes) {
      const Cell::Whole &whole = frame.cell->whole[static_cast<size_t>(recompute)];
      double bytes = whole.activationBytes * held / stages;
      if (bytes <= room)
        return larger ? mix(*larger, whole, held / stages, room) : whole.seconds;
      larger = &whole;
    }
    return {kForbidden, kForbidden, kForbidden};
  }

  /// Of several chunks that do not divide the layers evenly, the first stage has the smaller ones.
  double evenShare(const Frame &frame) const {
    int64_t layers = query.shape.layers, chunks = frame.pp * frame.interleave;
    return frame.interleave == 1 ? 1 : double(layers / chunks * chunks) / double(layers);
  }

  static cost::PartSeconds mix(const Cell::Whole &larger, const Cell::Whole &smaller, double held, double room) {
    double share = (larger.activationBytes * held - room) / ((larger.activationBytes - smaller.activationBytes) * held);
    auto between = [&](double a, double b) { return a + share * (b - a); };
    return {between(larger.seconds.forward, smaller.seconds.forward),
            between(larger.seconds.inputGradient, smaller.seconds.inputGradient),
            between(larger.seconds.weightGradient, smaller.seconds.weightGradient)};
  }

  /// Microbatches' worth of the stage's layers. Stages of one chunk even their memory out by their numbers of layers, so the average counts;
  /// stages of several equal chunks cannot, so the first one counts, which holds most.
  static double held(const Frame &frame) {
    double p = double(frame.pp), b = double(frame.microbatches), v = double(frame.interleave);
    if (frame.schedule == Schedule::GPipe)
      return b;
    if (frame.schedule == Schedule::ZeroBubbleH1)
      return std::min(b, p);
    return std::min(b, v > 1 ? (2 * (p - 1) + (v - 1) * p + 1) / v : (p + 1) / 2);
  }

  /// Parameters that are gathered and gradients that are scattered in each pass.
  void addState(cost::PartSeconds &pass, const cost::TrainingPlan &plan, double parametersOfChunk) const {
    if (plan.sharding != StateSharding::Parameters && plan.sharding != StateSharding::Gradients)
      return;
    double once =
        double(plan.interleave) * cost::scatterSeconds(machine, stack, cost::dataGroup(plan), 2 * parametersOfChunk);
    double backward = pass.backward(), gathers = plan.sharding == StateSharding::Parameters ? 2 : 1;
    auto beside = [&](double compute, double traffic) {
      return std::max(compute, traffic) + stack.gatherExposed * std::min(compute, traffic);
    };
    pass.forward = beside(pass.forward, once);
    double slower = backward > 0 ? beside(backward, gathers * once) / backward : 1;
    pass.inputGradient *= slower;
    pass.weightGradient *= slower;
  }

  /// The layers of the stage that has most, by those of an average stage with its share of embedding and logits.
  double wholeLayers(const Frame &frame) const {
    int64_t layers = query.shape.layers;
    const cost::TrainingPrices &prices = frame.cell->prices(Recompute::None);
    cost::PartSeconds all = frame.cell->whole[0].seconds, layer = layers > 2 ? prices.range(1, 1) : cost::PartSeconds{};
    int64_t chunks = frame.pp * frame.interleave, rest = layers % chunks;
    int64_t most = layers / chunks * frame.interleave + (rest + frame.pp - 1) / frame.pp;
    return double(most * frame.pp) * (layer.forward + layer.backward()) / (all.forward + all.backward());
  }

  double sendSeconds(const Frame &frame) const {
    int64_t next = frame.pp == 1 ? 0 : cost::stageDistance(frame.plan(query));
    return cost::sendSeconds(machine, stack, 0, next, frame.cell->prices(Recompute::None).boundaryBytes());
  }

  double pipeline(const Frame &frame, const cost::PartSeconds &pass) const {
    double p = double(frame.pp), b = double(frame.microbatches), v = double(frame.interleave);
    double host = stack.microbatchSeconds * v, each = pass.forward + pass.backward() + host;
    double slowest = std::max(each, wholeLayers(frame) * each);
    double fill = (p - 1) * each / v;
    double send = 2 * (p - 1) * sendSeconds(frame);
    if (frame.schedule == Schedule::ZeroBubbleH1) {
      fill = (p - 1) * std::max(0.0, pass.forward + pass.inputGradient + host - pass.weightGradient);
      return std::max(b * slowest, b * each + fill) + send;
    }
    return each + (b - 1) * slowest + fill + send;
  }

  double perStep(const cost::TrainingPlan &plan, double parameters) const {
    double share = plan.sharding == StateSharding::None ? 1 : 1 / double(plan.dp * plan.cp);
    double update = parameters * share * stack.optimizerBytes / machine.device().memoryBandwidth;
    if (plan.sharding == StateSharding::Parameters || plan.sharding == StateSharding::Gradients)
      return update;
    cost::RankGroup group = cost::dataGroup(plan);
    double scatter = cost::scatterSeconds(machine, stack, group, stack.communicatedBytes * parameters);
    double gather = plan.sharding == StateSharding::Optimizer
                        ? cost::scatterSeconds(machine, stack, group, 2 * parameters)
                        : scatter;
    return update + (scatter + gather) * (1 - stack.dataOverlap);
  }

  const TrainingQuery &query;
  const machine::Machine &machine;
  const machine::Stack &stack;
  std::vector<Recompute> recomputes;
  double limit;
};

class Enumerator {
public:
  Enumerator(const TrainingQuery &query, Cells &cells) : query(query), cells(cells), estimator(query) {}

  std::vector<Frame> run() {
    const LayoutPins &pins = query.pins;
    for (int64_t pp : divisorsOf(query.devices))
      if (allows(pins.pp, pp) && pp <= query.shape.layers)
        for (int64_t tp : divisorsOf(query.devices / pp))
          if (allows(pins.tp, tp) && query.shape.heads % tp == 0)
            for (int64_t cp : divisorsOf(query.devices / pp / tp))
              if (allows(pins.cp, cp) && query.shape.sequence % cp == 0)
                addShares(pp, tp, cp);
    std::vector<Frame> sorted;
    std::vector<size_t> order(frames.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return std::tie(frames[a].estimate, a) < std::tie(frames[b].estimate, b); });
    for (size_t i : order)
      sorted.push_back(frames[i]);
    return sorted;
  }

private:
  void addShares(int64_t pp, int64_t tp, int64_t cp) {
    int64_t dp = query.devices / pp / tp / cp;
    if (!allows(query.pins.dp, dp) || query.globalBatch % dp)
      return;
    for (int64_t ep : divisorsOf(dp))
      if (allows(query.pins.ep, ep) && query.shape.experts % ep == 0)
        for (int64_t microbatch : divisorsOf(query.globalBatch / dp))
          if (allows(query.pins.microbatch, microbatch))
            if (const Cell *cell = cells.get(tp, cp, ep, microbatch)) {
              Frame frame;
              frame.cell = cell;
              frame.pp = pp;
              frame.dp = dp;
              frame.microbatches = query.globalBatch / dp / microbatch;
              addSchedules(frame);
            }
  }

  void addSchedules(Frame frame) {
    if (frame.pp == 1) { // one after the other, whatever the schedule
      frame.schedule = query.pins.schedule.value_or(Schedule::OneForwardOneBackward);
      if (allows(query.pins.interleave, int64_t(1)))
        addShardings(frame);
      return;
    }
    for (Schedule schedule : {Schedule::OneForwardOneBackward, Schedule::ZeroBubbleH1, Schedule::GPipe})
      if (allows(query.pins.schedule, schedule))
        for (int64_t interleave : interleaves(frame, schedule)) {
          frame.schedule = schedule;
          frame.interleave = interleave;
          addShardings(frame);
        }
  }

  /// Chunks per stage: 1, and where the microbatches take turns evenly, a few or what divides a stage's layers.
  std::vector<int64_t> interleaves(const Frame &frame, Schedule schedule) const {
    std::vector<int64_t> result;
    bool turns = schedule == Schedule::OneForwardOneBackward && frame.microbatches % frame.pp == 0;
    int64_t most = query.shape.layers / frame.pp;
    if (int64_t pin = query.pins.interleave.value_or(0); pin > 0)
      return pin == 1 || (turns && pin <= most) ? std::vector{pin} : result;
    for (int64_t interleave = 1; interleave <= (turns ? std::min(kMostChunks, most) : 1); ++interleave)
      if (interleave <= kFewChunks || most % interleave == 0)
        result.push_back(interleave);
    return result;
  }

  void addShardings(Frame frame) {
    for (StateSharding sharding : kShardings) {
      bool pointless = sharding != StateSharding::None && frame.dp * frame.cell->plan().cp == 1 && !query.pins.sharding;
      if (!allows(query.pins.sharding, sharding) || pointless)
        continue;
      frame.sharding = sharding;
      frame.estimate = estimator.seconds(frame);
      if (frame.estimate < kForbidden)
        frames.push_back(frame);
    }
  }

  const TrainingQuery &query;
  Cells &cells;
  Estimator estimator;
  std::vector<Frame> frames;
};

} // namespace

cost::TrainingPlan Frame::plan(const TrainingQuery &query) const {
  cost::TrainingPlan plan = cell->plan();
  plan.pp = pp;
  plan.dp = dp;
  plan.globalBatch = query.globalBatch;
  plan.interleave = interleave;
  plan.schedule = schedule;
  plan.sharding = sharding;
  return plan;
}

double memoryLimit(const TrainingQuery &query) {
  if (query.fit == cost::Fit::DoesNot)
    return std::numeric_limits<double>::max();
  // As fitOf(): the largest number of bytes that is as certain to fit as asked for.
  double low = 0, high = 2 * double(query.machine->device().memoryBytes);
  while (high - low > 1) {
    double middle = (low + high) / 2;
    (cost::fitOf(*query.machine, middle) <= query.fit ? low : high) = middle;
  }
  return low;
}

std::vector<Frame> enumerateFrames(const TrainingQuery &query, Cells &cells) { return Enumerator(query, cells).run(); }

std::vector<int64_t> divisorsOf(int64_t number) {
  std::vector<int64_t> small, large;
  for (int64_t i = 1; i * i <= number; ++i)
    if (number % i == 0) {
      small.push_back(i);
      if (i != number / i)
        large.push_back(number / i);
    }
  small.insert(small.end(), large.rbegin(), large.rend());
  return small;
}

} // namespace mpopt::search
