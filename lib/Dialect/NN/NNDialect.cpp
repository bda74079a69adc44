#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;
using namespace mpopt::nn;

#include "mpopt/Dialect/NN/NNDialect.cpp.inc"
#include "mpopt/Dialect/NN/NNEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "mpopt/Dialect/NN/NNAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/NN/NNOps.cpp.inc"

void NNDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "mpopt/Dialect/NN/NNAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "mpopt/Dialect/NN/NNOps.cpp.inc"
      >();
}

Operation *NNDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type, Location loc) {
  auto elements = dyn_cast<ElementsAttr>(value);
  return elements ? ConstantOp::create(builder, loc, type, elements) : nullptr;
}
