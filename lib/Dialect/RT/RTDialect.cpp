#include "mpopt/Dialect/RT/RT.h"

using namespace mlir;
using namespace mpopt::rt;

#include "mpopt/Dialect/RT/RTDialect.cpp.inc"
#include "mpopt/Dialect/RT/RTEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "mpopt/Dialect/RT/RTTypes.cpp.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/RT/RTOps.cpp.inc"

void RTDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "mpopt/Dialect/RT/RTTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "mpopt/Dialect/RT/RTOps.cpp.inc"
      >();
}
