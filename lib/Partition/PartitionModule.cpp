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
    auto main = module.lookupSymbol<func::FuncOp>("main");
    shd::MeshOp mesh = shd::getMesh(module);
    if (!main || !mesh) {
      module.emitError() << "needs " << (main ? "a shd.mesh" : "a function @main") << " to be partitioned";
      return signalPassFailure();
    }
    if (failed(Partitioner(main, mesh, price ? price : StepPrice(shd::defaultReshardPrice)).run()))
      signalPassFailure();
  }

private:
  StepPrice price;
};

} // namespace

std::unique_ptr<Pass> createPartitionModule(StepPrice price) {
  return std::make_unique<PartitionModulePass>(std::move(price));
}

} // namespace mpopt::partition
