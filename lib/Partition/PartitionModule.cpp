#include "Partitioner.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Partition/Passes.h"

using namespace mlir;
using namespace mpopt;

namespace mpopt::partition {
#define GEN_PASS_DEF_PARTITIONMODULE
#include "mpopt/Partition/Passes.h.inc"

namespace {

struct PartitionModulePass : impl::PartitionModuleBase<PartitionModulePass> {
  PartitionModulePass() = default;
  explicit PartitionModulePass(StepPrice price) : price(std::move(price)) {}

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions = getPlannedFunctions(module);
    if (functions.empty() || !shd::getMesh(functions.front())) {
      module.emitError() << "needs " << (functions.empty() ? "a function @main" : "a shd.mesh") << " to be partitioned";
      return signalPassFailure();
    }
    for (func::FuncOp function : functions)
      if (failed(
              Partitioner(function, shd::getMesh(function), price ? price : StepPrice(shd::defaultReshardPrice)).run()))
        return signalPassFailure();
  }

private:
  StepPrice price;
};

} // namespace

std::unique_ptr<Pass> createPartitionModule(StepPrice price) {
  return std::make_unique<PartitionModulePass>(std::move(price));
}

} // namespace mpopt::partition
