// mpopt-opt: runs any pass of the compiler on IR in text form, as the tests do.
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "mpopt/Pipelines/Compile.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mpopt::registerAll(registry);
  mpopt::registerAllPasses();
  mlir::registerCanonicalizer();
  mlir::registerCSE();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "mpopt's passes on IR in text form\n", registry));
}
