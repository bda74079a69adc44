#ifndef MPOPT_LIB_PIPELINES_CHOOSEPIPELINE_H
#define MPOPT_LIB_PIPELINES_CHOOSEPIPELINE_H

#include "mlir/IR/OwningOpRef.h"
#include "mpopt/Partition/Passes.h"
#include "mpopt/Planning/Planning.h"
#include <vector>

namespace mpopt {

/// A number of stages and microbatches that was planned for, and what came of it.
struct PipelineCandidate {
  planning::Strategy strategy;
  bool exists = false;  ///< Whether there is such a plan.
  double seconds = 0;   ///< As PlanReport::predictedSeconds.
  double leastPass = 0; ///< As PlanReport::lowerBoundSeconds.
  int64_t memoryBytes = 0;
};

/// Whether stages and microbatches are the planner's to choose: neither a strategy nor pins say how devices are used.
bool choosesPipeline(const planning::PlanOptions &options);

/// The plan of the candidate that was chosen.
struct ChosenPipeline {
  std::optional<planning::Strategy> strategy; ///< Nothing for the plan without stages and microbatches.
  mlir::OwningOpRef<mlir::ModuleOp> module;   ///< Planned as planPipeline does.
  planning::PlanReport report;
};

/// Plans copies of a module before planning with several numbers of stages and microbatches, and returns the best for the objective; nothing
/// where none exists, and then says not why. All are kept in `tried`, the one without stages first.
///  throughput  every number of stages that divides the devices, and stages of different sizes, with the fewest microbatches that fit into memory
///  memory      the same, and without stages, with one and with several microbatches
///  latency     several microbatches through equal stages, where they could beat the plan without; where there is no plan without, as for throughput
std::optional<ChosenPipeline> choosePipeline(mlir::ModuleOp module, const planning::PlanOptions &options,
                                             const partition::WeightReader &read,
                                             std::vector<PipelineCandidate> &tried);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_CHOOSEPIPELINE_H
