#include "mpopt/Cost/Training/Step.h"
#include "mpopt/Cost/Training/Pipeline.h"
#include "mpopt/Cost/Training/Traffic.h"

#include <algorithm>

namespace mpopt::cost {

using machine::Machine;
using machine::Stack;

namespace {

constexpr double kSurelyFits = 1.06;
constexpr double kSurelyNot = 0.88;

struct Range {
  int64_t first = 0;
  int64_t count = 0;
};

/// Bytes of training state per parameter.
struct State {
  double weight, gradient, optimizer;
};

State stateOf(const Stack &stack, Precision precision) {
  switch (precision) {
  case Precision::Float32:
    return {4, 4, 8};
  case Precision::Mixed16:
    return {2, stack.gradientBytes, 12};
  case Precision::Pure16:
    return {2, 2, 4};
  case Precision::Mixed8:
  case Precision::Mixed4: // the narrow copy of the weights besides the wide one
    return {3, stack.gradientBytes, 12};
  }
  return {4, 4, 8};
}

double stateBytes(const Stack &stack, const TrainingPlan &plan) {
  State state = stateOf(stack, plan.precision);
  double d = double(plan.dp * plan.cp);
  switch (plan.sharding) {
  case StateSharding::None:
    return state.weight + state.gradient + state.optimizer;
  case StateSharding::Optimizer:
    return state.weight + state.gradient + state.optimizer / d;
  case StateSharding::Gradients:
    return state.weight + (state.gradient + state.optimizer) / d;
  case StateSharding::Parameters: // sharded master weights serve as the weights
    return (state.gradient + state.optimizer + (state.optimizer == 12 ? 0 : state.weight)) / d;
  }
  return 0;
}

/// Prices one step; a class because every part needs the same four things.
class StepPricer {
public:
  StepPricer(const Machine &machine, const Stack &stack, const TrainingPlan &plan, const TrainingPrices &prices)
      : machine(machine), stack(stack), plan(plan), prices(prices) {
    int64_t first = 0;
    for (int64_t count : layersOfChunks(prices.layers(), plan.pp * plan.interleave)) {
      chunks.push_back({first, count});
      first += count;
    }
  }

  StepPrice price() const {
    PipelineInput input = pipeline();
    PipelineResult run = simulate(input);
    StepPrice price;
    for (int64_t stage = 0; stage < plan.pp; ++stage) {
      double sync = syncSeconds(stage), update = optimizerSeconds(stage);
      double end = run.ends[stage] + sync + update;
      if (end <= price.seconds)
        continue;
      price.seconds = end;
      price.sync = sync;
      price.optimizer = update;
      price.compute = *std::max_element(run.busy.begin(), run.busy.end());
      price.bubble = run.ends[stage] - price.compute;
    }
    price.host = stack.stepSeconds + stack.microbatchSeconds * double(plan.microbatches());
    price.seconds += stack.stepSeconds;
    price.memory = memory(run);
    return price;
  }

private:
  PipelineInput pipeline() const {
    PipelineInput input;
    input.schedule = plan.schedule;
    input.stages = plan.pp;
    input.microbatches = plan.microbatches();
    input.interleave = plan.interleave;
    for (const Range &chunk : chunks)
      input.chunks.push_back(chunkSeconds(chunk));
    for (size_t i = 0; i + 1 < chunks.size(); ++i)
      input.sends.push_back(sendSeconds(machine, stack, int64_t(i) % plan.pp * stageDistance(plan),
                                        int64_t(i + 1) % plan.pp * stageDistance(plan), prices.boundaryBytes()));
    return input;
  }

  /// What a pass takes when traffic runs beside it.
  double beside(double compute, double traffic) const {
    return std::max(compute, traffic) + stack.gatherExposed * std::min(compute, traffic);
  }

  PartSeconds chunkSeconds(const Range &chunk) const {
    PartSeconds part = prices.range(chunk.first, chunk.count);
    if (plan.sharding == StateSharding::Parameters || plan.sharding == StateSharding::Gradients) {
      double bytes = 2 * prices.parameters(chunk.first, chunk.count);
      double once = scatterSeconds(machine, stack, dataGroup(plan), bytes);
      double backward = part.backward(), gathers = plan.sharding == StateSharding::Parameters ? 2 : 1;
      double slower = backward > 0 ? beside(backward, gathers * once) / backward : 1;
      part.forward = beside(part.forward, once);
      part.inputGradient *= slower;
      part.weightGradient *= slower;
    }
    part.forward += stack.microbatchSeconds / 2;
    part.inputGradient += stack.microbatchSeconds / 2;
    return part;
  }

  double parametersOf(int64_t stage) const {
    double sum = 0;
    for (size_t i = stage; i < chunks.size(); i += plan.pp)
      sum += prices.parameters(chunks[i].first, chunks[i].count);
    return sum;
  }

  double syncSeconds(int64_t stage) const {
    if (plan.sharding == StateSharding::Parameters || plan.sharding == StateSharding::Gradients)
      return 0;
    double parameters = parametersOf(stage);
    double scatter = scatterSeconds(machine, stack, dataGroup(plan), stack.communicatedBytes * parameters);
    double gather = plan.sharding == StateSharding::Optimizer
                        ? scatterSeconds(machine, stack, dataGroup(plan), 2 * parameters)
                        : scatter;
    return (scatter + gather) * (1 - stack.dataOverlap);
  }

  double optimizerSeconds(int64_t stage) const {
    double share = plan.sharding == StateSharding::None ? 1 : 1 / double(plan.dp * plan.cp);
    return parametersOf(stage) * share * stack.optimizerBytes / machine.device().memoryBandwidth;
  }

  StepMemory memory(const PipelineResult &run) const {
    StepMemory fullest;
    for (int64_t stage = 0; stage < plan.pp; ++stage) {
      StepMemory memory = memoryOf(stage, run.held[stage]);
      if (memory.total() > fullest.total())
        fullest = memory;
    }
    double limit = double(machine.device().memoryBytes);
    fullest.fit = fullest.total() * kSurelyFits <= limit ? Fit::Fits
                  : fullest.total() * kSurelyNot > limit ? Fit::DoesNot
                                                         : Fit::Unsure;
    return fullest;
  }

  StepMemory memoryOf(int64_t stage, const std::vector<int64_t> &held) const {
    StepMemory memory;
    memory.stage = stage;
    memory.reserve = stack.reserveBytes;
    memory.weights = stateBytes(stack, plan) * parametersOf(stage);
    for (size_t i = stage; i < chunks.size(); i += plan.pp) {
      memory.activations += double(held[i / plan.pp]) * prices.activationBytes(chunks[i].first, chunks[i].count);
      memory.working = std::max(memory.working, prices.workingBytes(chunks[i].first, chunks[i].count));
    }
    if (plan.sharding == StateSharding::Parameters) // two layers whole: weights and gradients
      memory.working += 2 * 4 * prices.parameters(1, 1);
    return memory;
  }

  const Machine &machine;
  const Stack &stack;
  const TrainingPlan &plan;
  const TrainingPrices &prices;
  std::vector<Range> chunks;
};

} // namespace

StepPrice priceStep(const Machine &machine, const Stack &stack, const TrainingPlan &plan,
                    const TrainingPrices &prices) {
  return StepPricer(machine, stack, plan, prices).price();
}

Result<StepPrice> priceStep(const Machine &machine, const Stack &stack, const TransformerShape &shape,
                            const TrainingPlan &plan) {
  if (Status status = check(shape, plan); !status)
    return tl::unexpected<Error>(status.error());
  if (plan.schedule != Schedule::OneForwardOneBackward && plan.interleave > 1)
    return error("training plan: interleave is " + std::to_string(plan.interleave) +
                 ", which only the 1f1b schedule knows; set it to 1");
  if (plan.devices() > machine.maxDevices())
    return error("training plan: tp * pp * dp * cp = " + std::to_string(plan.devices()) + " devices, but machine '" +
                 machine.name + "' has " + std::to_string(machine.maxDevices()));
  return priceStep(machine, stack, plan, TransformerPrices(machine, stack, shape, plan));
}

} // namespace mpopt::cost
