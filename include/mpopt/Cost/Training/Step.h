#ifndef MPOPT_COST_TRAINING_STEP_H
#define MPOPT_COST_TRAINING_STEP_H

#include "mpopt/Cost/Training/Layer.h"

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
};

class TransformerPrices final : public TrainingPrices {
public:
  /// check(shape, plan) holds. All arguments outlive the prices.
  TransformerPrices(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                    const TrainingPlan &plan);

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

enum class Fit : uint8_t { Fits, Unsure, DoesNot };

/// Bytes on the fullest device.
struct StepMemory {
  double weights = 0; ///< Weights, gradients and optimizer state.
  double activations = 0;
  double working = 0;
  double reserve = 0;
  int64_t stage = 0; ///< Which one.
  Fit fit = Fit::Unsure;

  double total() const { return weights + activations + working + reserve; }
};

struct StepPrice {
  double seconds = 0;
  double compute = 0; ///< Of the busiest stage.
  double bubble = 0;  ///< What the pipeline adds to it.
  double sync = 0;    ///< Exposed gradient and parameter traffic.
  double optimizer = 0;
  double host = 0; ///< Per-microbatch and per-step cost of the program.
  StepMemory memory;
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

/// The same from a shape, after check(). Errors as there, and for tp beyond the machine.
Result<StepPrice> priceStep(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                            const TrainingPlan &plan);

} // namespace mpopt::cost

#endif // MPOPT_COST_TRAINING_STEP_H
