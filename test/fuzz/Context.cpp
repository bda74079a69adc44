#include "Context.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/RT/RT.h"

void mpopt::fuzz::loadDialects(mlir::MLIRContext &context) {
  context.loadDialect<mlir::func::FuncDialect, shd::ShdDialect, nn::NNDialect, coll::CollDialect, rt::RTDialect>();
}
