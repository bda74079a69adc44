#include "mpopt/Dialect/Shd/PartitionRule.h"

using namespace mlir;
using namespace mpopt::shd;

#include "mpopt/Dialect/Shd/ShdDialect.cpp.inc"
#include "mpopt/Dialect/Shd/ShdEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "mpopt/Dialect/Shd/ShdAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/Shd/ShdOps.cpp.inc"

#include "mpopt/Dialect/Shd/PartitionInterface.cpp.inc"

void ShdDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "mpopt/Dialect/Shd/ShdAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "mpopt/Dialect/Shd/ShdOps.cpp.inc"
      >();
}
