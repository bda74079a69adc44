#ifndef MPOPT_COST_TRAINING_PIPELINE_H
#define MPOPT_COST_TRAINING_PIPELINE_H

#include "mpopt/Cost/Training/Layer.h"

#include <string_view>
#include <vector>

namespace mpopt::cost {

enum class PassKind : uint8_t { Forward, Backward, WeightGradient };

/// "forward", "backward", "weight_gradient".
std::string_view name(PassKind kind);

/// One pass of one microbatch through one chunk of layers.
struct Instruction {
  PassKind kind;
  int32_t microbatch;
  int32_t chunk; ///< Of the stage's own chunks, 0 to interleave - 1.
};

/// The passes of one stage, in order.
///   GPipe: all forward, then all backward (Huang et al. 2019).
///   1F1B: p - 1 - stage forward passes ahead, then one backward after each forward (Narayanan et al. 2019);
///     interleaved: chunks take turns in groups of p microbatches, 2 (p - 1 - stage) + (v - 1) p passes ahead (Narayanan
///     et al. 2021); needs p to divide the microbatches.
///   ZB-H1: 1F1B with the weight gradient on its own, `stage` microbatches late, so that it fills the drain and no stage
///     holds more than p microbatches (Qi et al. 2023). Interleave must be 1.
/// Where weight gradients are not listed, Backward includes them.
std::vector<Instruction> instructionsOf(Schedule schedule, int64_t stage, int64_t stages, int64_t microbatches,
                                        int64_t interleave);

/// Microbatches of each chunk whose activations a stage holds when it holds most chunks' worth.
std::vector<int64_t> heldMicrobatches(Schedule schedule, int64_t stage, int64_t stages, int64_t microbatches,
                                      int64_t interleave);

struct PipelineInput {
  Schedule schedule = Schedule::OneForwardOneBackward;
  int64_t stages = 1;
  int64_t microbatches = 1;
  int64_t interleave = 1;
  std::vector<PartSeconds> chunks; ///< stages * interleave of them, in the order of the pipeline.
  std::vector<double> sends;       ///< Seconds from chunk i to i + 1 (and back), one fewer.
};

struct PipelineResult {
  double seconds = 0;
  std::vector<double> ends;               ///< Seconds after which each stage has done its last pass.
  std::vector<double> busy;               ///< Seconds each stage computes.
  std::vector<std::vector<int64_t>> held; ///< Per stage and chunk, as heldMicrobatches().
};

/// A pass as it ran.
struct TracedPass {
  Instruction instruction;
  double start = 0;
  double seconds = 0;
};

/// Per stage its passes, in the order in which they ran.
using PipelineTrace = std::vector<std::vector<TracedPass>>;

/// Executes the instruction lists: a pass starts when its stage is free and its input has arrived; sends run beside
/// compute. Where there is a `trace`, it is filled.
PipelineResult simulate(const PipelineInput &input, PipelineTrace *trace = nullptr);

} // namespace mpopt::cost

#endif // MPOPT_COST_TRAINING_PIPELINE_H
