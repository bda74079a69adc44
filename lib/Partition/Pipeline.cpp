#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "mpopt/Partition/Passes.h"

void mpopt::partition::buildPartitionPipeline(mlir::OpPassManager &manager, const StepPrice &price) {
  manager.addPass(createVerifyShardings());
  manager.addPass(createPartitionModule(price));
  // Reshards of one value often begin alike.
  manager.addPass(mlir::createCSEPass());
  manager.addPass(createSimplifyCollectives());
  manager.addPass(mlir::createCSEPass());
  manager.addPass(createSplitStages());
}

void mpopt::partition::registerPartition() {
  registerPartitionPasses();
  mlir::PassPipelineRegistration<>("partition", "What runs between planning and scheduling",
                                   [](mlir::OpPassManager &manager) { buildPartitionPipeline(manager); });
}
