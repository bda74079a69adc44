// mpopt-opt: runs any pass of the compiler on IR in text form, as the tests do.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "mpopt/Codegen/Codegen.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Dialect/Shd/Shd.h"
#include "mpopt/Partition/Passes.h"
#include "mpopt/Planning/Passes.h"
#include "mpopt/Schedule/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mlir::arith::ArithDialect, mlir::func::FuncDialect, mpopt::nn::NNDialect, mpopt::shd::ShdDialect,
                  mpopt::coll::CollDialect, mpopt::rt::RTDialect>();
  mlir::registerCanonicalizer();
  mlir::registerCSE();
  mpopt::nn::registerNNTransforms();
  mpopt::codegen::registerCodegenPasses();
  mpopt::planning::registerPlanningPasses();
  mpopt::partition::registerPartition();
  mpopt::schedule::registerSchedulePasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "mpopt's passes on IR in text form\n", registry));
}
