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

/// Where nothing is split.
StateBytes stateOf(const Stack &stack, Precision precision) {
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

bool gathersInPasses(const TrainingPlan &plan) {
  return plan.sharding == StateSharding::Parameters || plan.sharding == StateSharding::Gradients;
}

/// Prices one step; a class because every part needs the same things.
class StepPricer {
public:
  StepPricer(const Machine &machine, const Stack &stack, Schedule schedule, const std::vector<StageLayout> &stages)
      : machine(machine), stack(stack), schedule(schedule), stages(stages) {}

  StepPrice price() const {
    StepPrice price;
    price.pipeline = pipeline();
    PipelineResult run = simulate(price.pipeline);
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      StagePrice part = {run.busy[stage], syncSeconds(stages[stage]), optimizerSeconds(stages[stage]),
                         memoryOf(stage, run.held[stage])};
      double end = run.ends[stage] + part.sync + part.optimizer;
      if (end > price.seconds) {
        price.seconds = end;
        price.sync = part.sync;
        price.optimizer = part.optimizer;
        price.compute = *std::max_element(run.busy.begin(), run.busy.end());
        price.bubble = run.ends[stage] - price.compute;
      }
      if (part.memory.total() > price.memory.total())
        price.memory = part.memory;
      price.stages.push_back(part);
    }
    price.host = stack.stepSeconds + stack.microbatchSeconds * double(stages.front().plan.microbatches());
    price.seconds += stack.stepSeconds;
    return price;
  }

private:
  size_t chunks() const { return stages.size() * stages.front().chunks.size(); }

  PipelineInput pipeline() const {
    PipelineInput input;
    input.schedule = schedule;
    input.stages = int64_t(stages.size());
    input.microbatches = stages.front().plan.microbatches();
    input.interleave = int64_t(stages.front().chunks.size());
    for (size_t i = 0; i < chunks(); ++i)
      input.chunks.push_back(
          chunkSeconds(stages[i % stages.size()], stages[i % stages.size()].chunks[i / stages.size()]));
    for (size_t i = 0; i + 1 < chunks(); ++i) {
      const StageLayout &from = stages[i % stages.size()], &to = stages[(i + 1) % stages.size()];
      double bytes = std::max(from.prices->boundaryBytes(), to.prices->boundaryBytes());
      input.sends.push_back(sendSeconds(machine, stack, from.firstDevice, to.firstDevice, bytes));
    }
    return input;
  }

  /// What a pass takes when traffic runs beside it.
  double beside(double compute, double traffic) const {
    return std::max(compute, traffic) + stack.gatherExposed * std::min(compute, traffic);
  }

  PartSeconds chunkSeconds(const StageLayout &stage, const LayerRange &chunk) const {
    PartSeconds part = stage.prices->range(chunk.first, chunk.count);
    if (gathersInPasses(stage.plan)) {
      double bytes = 2 * stage.prices->replicatedParameters(chunk.first, chunk.count);
      double once = scatterSeconds(machine, stack, dataGroup(stage.plan), bytes);
      double backward = part.backward(), gathers = stage.plan.sharding == StateSharding::Parameters ? 2 : 1;
      double slower = backward > 0 ? beside(backward, gathers * once) / backward : 1;
      part.forward = beside(part.forward, once);
      part.inputGradient *= slower;
      part.weightGradient *= slower;
    }
    part.forward += stack.microbatchSeconds / 2;
    part.inputGradient += stack.microbatchSeconds / 2;
    return part;
  }

  /// Parameters on one rank, and those that only it holds.
  struct Held {
    double replicated = 0;
    double own = 0;
  };

  Held heldBy(const StageLayout &stage) const {
    Held held;
    for (const LayerRange &chunk : stage.chunks) {
      double replicated = stage.prices->replicatedParameters(chunk.first, chunk.count);
      held.replicated += replicated;
      held.own += stage.prices->parameters(chunk.first, chunk.count) - replicated;
    }
    return held;
  }

  double syncSeconds(const StageLayout &stage) const {
    if (gathersInPasses(stage.plan))
      return 0;
    double parameters = heldBy(stage).replicated;
    RankGroup group = dataGroup(stage.plan);
    double scatter = scatterSeconds(machine, stack, group, stack.communicatedBytes * parameters);
    double gather = stage.plan.sharding == StateSharding::Optimizer
                        ? scatterSeconds(machine, stack, group, 2 * parameters)
                        : scatter;
    return (scatter + gather) * (1 - stack.dataOverlap);
  }

  double optimizerSeconds(const StageLayout &stage) const {
    double share = stage.plan.sharding == StateSharding::None ? 1 : 1 / double(stage.plan.dp * stage.plan.cp);
    Held held = heldBy(stage);
    return (held.replicated * share + held.own) * stack.optimizerBytes / machine.device().memoryBandwidth;
  }

  StepMemory memoryOf(size_t index, const std::vector<int64_t> &microbatches) const {
    const StageLayout &stage = stages[index];
    const TrainingPrices &prices = *stage.prices;
    Held held = heldBy(stage);
    StepMemory memory;
    memory.stage = int64_t(index);
    memory.reserve = stack.reserveBytes;
    StateBytes shared = stateParts(stack, stage.plan), own = stateOf(stack, stage.plan.precision);
    memory.weights = shared.total() * held.replicated + own.total() * held.own;
    memory.gradients = shared.gradients * held.replicated + own.gradients * held.own;
    memory.optimizer = shared.optimizer * held.replicated + own.optimizer * held.own;
    for (size_t i = 0; i < stage.chunks.size(); ++i) {
      const LayerRange &chunk = stage.chunks[i];
      memory.activations += double(microbatches[i]) * prices.activationBytes(chunk.first, chunk.count);
      memory.working = std::max(memory.working, prices.workingBytes(chunk.first, chunk.count));
    }
    if (stage.plan.sharding == StateSharding::Parameters) // two layers whole: weights and gradients
      memory.working += 2 * 4 * prices.parameters(1, 1);
    memory.fit = fitOf(machine, memory.total());
    return memory;
  }

  const Machine &machine;
  const Stack &stack;
  Schedule schedule;
  const std::vector<StageLayout> &stages;
};

} // namespace

StateBytes stateParts(const Stack &stack, const TrainingPlan &plan) {
  StateBytes state = stateOf(stack, plan.precision);
  double d = double(plan.dp * plan.cp);
  switch (plan.sharding) {
  case StateSharding::None:
    return state;
  case StateSharding::Optimizer:
    return {state.weights, state.gradients, state.optimizer / d};
  case StateSharding::Gradients:
    return {state.weights, state.gradients / d, state.optimizer / d};
  case StateSharding::Parameters: // sharded master weights serve as the weights
    return {state.optimizer == 12 ? 0 : state.weights / d, state.gradients / d, state.optimizer / d};
  }
  return {};
}

double stateBytes(const Stack &stack, const TrainingPlan &plan) { return stateParts(stack, plan).total(); }

std::string_view name(Fit fit) {
  constexpr std::string_view names[] = {"fits", "unsure", "does not"};
  return names[static_cast<size_t>(fit)];
}

Fit fitOf(const Machine &machine, double bytes) {
  double limit = double(machine.device().memoryBytes);
  return bytes * kSurelyFits <= limit ? Fit::Fits : bytes * kSurelyNot > limit ? Fit::DoesNot : Fit::Unsure;
}

std::vector<StageLayout> stagesOf(const TrainingPlan &plan, const TrainingPrices &prices) {
  std::vector<StageLayout> stages(plan.pp);
  int64_t first = 0, chunk = 0;
  for (int64_t count : layersOfChunks(prices.layers(), plan.pp * plan.interleave)) {
    stages[chunk++ % plan.pp].chunks.push_back({first, count});
    first += count;
  }
  for (int64_t stage = 0; stage < plan.pp; ++stage) {
    stages[stage].plan = plan;
    stages[stage].prices = &prices;
    stages[stage].firstDevice = stage * stageDistance(plan);
  }
  return stages;
}

StepPrice priceStages(const Machine &machine, const Stack &stack, Schedule schedule,
                      const std::vector<StageLayout> &stages) {
  return StepPricer(machine, stack, schedule, stages).price();
}

StepPrice priceStep(const Machine &machine, const Stack &stack, const TrainingPlan &plan,
                    const TrainingPrices &prices) {
  return priceStages(machine, stack, plan.schedule, stagesOf(plan, prices));
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
