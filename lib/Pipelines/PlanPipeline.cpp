#include "PlanPipeline.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Partition/Passes.h"

using namespace mlir;

namespace mpopt {

static LogicalResult run(ModuleOp module, std::unique_ptr<Pass> pass) {
  PassManager manager(module.getContext());
  manager.addPass(std::move(pass));
  return manager.run(module);
}

LogicalResult planPipeline(ModuleOp module, planning::PlanOptions &options, const partition::WeightReader &read,
                           planning::PlanReport &report, std::optional<StageRange> range) {
  std::optional<planning::Strategy> &strategy = options.strategy;
  if (strategy && strategy->microbatches > 1 &&
      failed(run(module, partition::createSplitMicrobatches(strategy->microbatches, read))))
    return failure();
  if (range || planning::haveOwnMeshes(options)) {
    StageRange stages = range.value_or(StageRange{strategy->stages, strategy->stages});
    auto devices = planning::cutIntoStages(module, options, stages.least, stages.most);
    if (failed(devices) || failed(run(module, partition::createSplitStages())))
      return failure();
    strategy->stageDevices = *devices;
    strategy->stages = static_cast<int64_t>(devices->size());
  }
  return planning::planModule(module, options, report);
}

} // namespace mpopt
