#ifndef MPOPT_LIB_PIPELINES_PLANPIPELINE_H
#define MPOPT_LIB_PIPELINES_PLANPIPELINE_H

#include "mpopt/Partition/Passes.h"
#include "mpopt/Planning/Planning.h"

namespace mpopt {

/// Numbers of stages that may be chosen from.
struct StageRange {
  int64_t least = 1, most = 1;
};

/// Plans a module as its strategy says: splits the batch into microbatches and, where stages have meshes of their own, @main into functions before
/// they are laid out. The strategy is told the sizes that were chosen then. `read` shows weights, for microbatches. `range` leaves the number of such
/// stages open.
llvm::LogicalResult planPipeline(mlir::ModuleOp module, planning::PlanOptions &options,
                                 const partition::WeightReader &read, planning::PlanReport &report,
                                 std::optional<StageRange> range = std::nullopt);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_PLANPIPELINE_H
