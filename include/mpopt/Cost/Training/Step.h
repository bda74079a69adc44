#ifndef MPOPT_COST_TRAINING_STEP_H
#define MPOPT_COST_TRAINING_STEP_H

#include "mpopt/Cost/Training/Pipeline.h"

#include <vector>

namespace mpopt::cost {

/// A training step of one model under one plan: what the planner asks, whoever answers. TransformerPrices answers from
/// a shape; a differentiated graph can answer instead.
class TrainingPrices {
public:
  virtual ~TrainingPrices() = default;
  virtual int64_t layers() const = 0;
  /// Seconds of one microbatch through layers [first, first + count), with the embedding where first is 0 and the
  /// logits where the range ends the model.
  virtual PartSeconds range(int64_t first, int64_t count) const = 0;
  /// Parameters of the range on one tp rank, every expert that it holds included.
  virtual double parameters(int64_t first, int64_t count) const = 0;
  /// Bytes that one microbatch's activations of the range occupy between forward and backward pass.
  virtual double activationBytes(int64_t first, int64_t count) const = 0;
  /// Bytes needed at once on top of those while the range computes: a layer being recomputed, the logits.
  virtual double workingBytes(int64_t first, int64_t count) const = 0;
  /// Bytes of one microbatch's activations at a boundary between layers, on one rank.
  virtual double boundaryBytes() const = 0;
  /// Of the parameters, those that all data-parallel ranks hold, and whose gradients they sum.
  virtual double replicatedParameters(int64_t first, int64_t count) const { return parameters(first, count); }
};

class TransformerPrices final : public TrainingPrices {
public:
  /// check(shape, plan) holds. All arguments outlive the prices.
  TransformerPrices(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                    const TrainingPlan &plan);
  TransformerPrices(const machine::Machine &machine, machine::Stack &&stack, const TransformerShape &shape,
                    const TrainingPlan &plan) = delete;

  int64_t layers() const override { return shape.layers; }
  PartSeconds range(int64_t first, int64_t count) const override;
  double parameters(int64_t first, int64_t count) const override;
  double activationBytes(int64_t first, int64_t count) const override;
  double workingBytes(int64_t first, int64_t count) const override;
  double boundaryBytes() const override;

private:
  const machine::Stack &stack;
  const TransformerShape &shape;
  const TrainingPlan &plan;
  PartSeconds layer, embedding, logits;
};

/// Layers of one stage that recompute in different ways: in every range that is asked for, the first layers are priced by the first of the
/// parts, as many as it says, those after them by the next, and what is left by the last.
class MixedPrices final : public TrainingPrices {
public:
  struct Part {
    const TrainingPrices *prices = nullptr;
    int64_t layers = 0;
  };

  /// At least one part; the prices agree in all but seconds and activations, and outlive this.
  explicit MixedPrices(std::vector<Part> parts) : parts(std::move(parts)) {}

  int64_t layers() const override { return parts.back().prices->layers(); }
  PartSeconds range(int64_t first, int64_t count) const override;
  double parameters(int64_t first, int64_t count) const override {
    return parts.back().prices->parameters(first, count);
  }
  double activationBytes(int64_t first, int64_t count) const override;
  double workingBytes(int64_t first, int64_t count) const override;
  double boundaryBytes() const override { return parts.back().prices->boundaryBytes(); }
  double replicatedParameters(int64_t first, int64_t count) const override {
    return parts.back().prices->replicatedParameters(first, count);
  }

private:
  /// Calls visit(prices, first, count) for each part of a range.
  template <typename Visit> void eachPart(int64_t first, int64_t count, Visit visit) const {
    for (size_t i = 0; i < parts.size() && count > 0; ++i) {
      int64_t taken = i + 1 == parts.size() || parts[i].layers > count ? count : parts[i].layers;
      if (taken > 0)
        visit(*parts[i].prices, first, taken);
      first += taken;
      count -= taken;
    }
  }

  std::vector<Part> parts;
};

enum class Fit : uint8_t { Fits, Unsure, DoesNot };

/// "fits", "unsure", "does not".
std::string_view name(Fit fit);

/// Bytes on the fullest device.
struct StepMemory {
  double weights = 0;                  ///< Weights, gradients and optimizer state.
  double gradients = 0, optimizer = 0; ///< Of those, gradients and optimizer state.
  double activations = 0;
  double working = 0;
  double reserve = 0;
  int64_t stage = 0; ///< Which one.
  Fit fit = Fit::Unsure;

  double total() const { return weights + activations + working + reserve; }
};

/// What one stage does in a step.
struct StagePrice {
  double busy = 0; ///< Seconds of computing.
  double sync = 0;
  double optimizer = 0;
  StepMemory memory;
};

struct StepPrice {
  double seconds = 0;
  double compute = 0; ///< Of the busiest stage.
  double bubble = 0;  ///< What the pipeline adds to it.
  double sync = 0;    ///< Exposed gradient and parameter traffic.
  double optimizer = 0;
  double host = 0; ///< Per-microbatch and per-step cost of the program.
  StepMemory memory;
  std::vector<StagePrice> stages;
  PipelineInput pipeline; ///< What was simulated.
};

/// Layers [first, first + count).
struct LayerRange {
  int64_t first = 0;
  int64_t count = 0;
};

/// One stage of a pipeline, with a layout of its own: of `plan`, what says how the stage's devices share the work.
struct StageLayout {
  TrainingPlan plan;
  const TrainingPrices *prices = nullptr; ///< Under that plan.
  std::vector<LayerRange> chunks;         ///< As many for every stage.
  int64_t firstDevice = 0;
};

/// Seconds of one step: the pipeline's instruction lists simulated over the stages' passes; then, per stage, the
/// gradient traffic that the backward pass does not hide and the optimizer on the part of the state that the device
/// holds. The slowest stage ends the step. Sharded data parallelism gathers each layer's parameters for each pass and
/// scatters each microbatch's gradients (Zhao et al. 2023), exposing stack.gatherExposed of the shorter of
/// traffic and compute.
/// Memory: state by ZeRO level, activations (Korthikanti et al. 2022) times what the schedule holds. Fits means
/// that 6 % more would too, DoesNot that 12 % less would not; published peaks lie within that of the formula.
StepPrice priceStep(const machine::Machine &machine, const machine::Stack &stack, const TrainingPlan &plan,
                    const TrainingPrices &prices);

/// The same for stages that differ. All do the same number of microbatches; where their devices do not share a microbatch alike, a stage
/// receives its part in pieces of the larger of the two sizes.
StepPrice priceStages(const machine::Machine &machine, const machine::Stack &stack, Schedule schedule,
                      const std::vector<StageLayout> &stages);

/// The stages of a uniform plan.
std::vector<StageLayout> stagesOf(const TrainingPlan &plan, const TrainingPrices &prices);

/// Bytes of training state per parameter.
struct StateBytes {
  double weights = 0, gradients = 0, optimizer = 0;

  double total() const { return weights + gradients + optimizer; }
};

/// What a device holds of parameters that all data-parallel ranks hold.
StateBytes stateParts(const machine::Stack &stack, const TrainingPlan &plan);
double stateBytes(const machine::Stack &stack, const TrainingPlan &plan);

/// Whether so many bytes on a device fit its memory.
Fit fitOf(const machine::Machine &machine, double bytes);

/// The same from a shape, after check(). Errors as there, and for tp beyond the machine.
Result<StepPrice> priceStep(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                            const TrainingPlan &plan);

} // namespace mpopt::cost

#endif // MPOPT_COST_TRAINING_STEP_H
