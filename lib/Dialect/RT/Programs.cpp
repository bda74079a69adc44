#include "mpopt/Dialect/RT/Programs.h"
#include "mpopt/Dialect/RT/RT.h"

using namespace mlir;

SmallVector<func::FuncOp> mpopt::rt::getProgramFunctions(ModuleOp module) {
  return llvm::filter_to_vector(module.getOps<func::FuncOp>(),
                                [](func::FuncOp function) { return !function->hasAttr(kKernelAttr); });
}
