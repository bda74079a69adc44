#ifndef MPOPT_COST_TRAINING_CALIBRATE_H
#define MPOPT_COST_TRAINING_CALIBRATE_H

#include "mpopt/Cost/Training/Step.h"

#include <span>
#include <vector>

namespace mpopt::cost {

/// A step that was run.
struct MeasuredStep {
  const machine::Machine *machine = nullptr;
  TransformerShape shape;
  TrainingPlan plan;
  double seconds = 0;
};

/// Fits a stack's constants to measured steps: the most probable ones when the logarithm of each constant is normal
/// around its value in `start` with `spread` times the spread of stackConstants(), and the logarithm of measured over predicted time
/// has a spread of 4 % with exponential tails (pseudo-Huber), by coordinate search. With one or two
/// steps only the matrix rate is fitted. Steps that the plan check refuses must not be passed. Deterministic.
machine::Stack fitStack(const machine::Stack &start, std::span<const MeasuredStep> steps, double spread = 1);

/// Adds to the stack's profile the layer times that the steps imply, where layers make up most of a step: the layer's
/// price scaled until the step's price is the measured one, the logarithm of the scale shrunk by n / (n + 0.3) for n
/// steps of one layer.
void profileLayers(machine::Stack &stack, std::span<const MeasuredStep> steps);

} // namespace mpopt::cost

#endif // MPOPT_COST_TRAINING_CALIBRATE_H
