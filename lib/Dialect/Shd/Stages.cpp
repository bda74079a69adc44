#include "mpopt/Dialect/Shd/Stages.h"
#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;

static int64_t countOf(ModuleOp module, StringRef name) {
  auto count = module->getAttrOfType<IntegerAttr>(name);
  return count ? count.getInt() : 1;
}

int64_t mpopt::shd::getStages(ModuleOp module) { return countOf(module, kStagesAttr); }
int64_t mpopt::shd::getMicrobatches(ModuleOp module) { return countOf(module, kMicrobatchesAttr); }
