#include "mpopt/Dialect/Coll/Coll.h"

using namespace mlir;
using namespace mpopt::coll;

#include "mpopt/Dialect/Coll/CollDialect.cpp.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/Coll/CollOps.cpp.inc"

void CollDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "mpopt/Dialect/Coll/CollOps.cpp.inc"
      >();
}
