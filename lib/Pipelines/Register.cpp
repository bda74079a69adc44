#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Codegen/Codegen.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Partition/Passes.h"
#include "mpopt/Pipelines/Compile.h"
#include "mpopt/Planning/Passes.h"
#include "mpopt/Schedule/Passes.h"

void mpopt::registerAll(mlir::DialectRegistry &registry) {
  registry.insert<mlir::arith::ArithDialect, mlir::func::FuncDialect, nn::NNDialect, shd::ShdDialect, coll::CollDialect,
                  rt::RTDialect>();
}

void mpopt::registerAllPasses() {
  nn::registerNNTransforms();
  planning::registerPlanningPasses();
  partition::registerPartition();
  schedule::registerSchedulePasses();
  codegen::registerCodegenPasses();
}
