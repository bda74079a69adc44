#include "mpopt/Dialect/Shd/PartitionRule.h"

using namespace mlir;
using namespace mpopt::shd;

/// A list that may be empty: one device makes a mesh without axes.
static ParseResult parseMeshAxes(AsmParser &parser, SmallVector<MeshAxisAttr> &axes) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    FailureOr<MeshAxisAttr> axis = FieldParser<MeshAxisAttr>::parse(parser);
    if (succeeded(axis))
      axes.push_back(*axis);
    return ParseResult(failure(failed(axis)));
  });
}

static void printMeshAxes(AsmPrinter &printer, ArrayRef<MeshAxisAttr> axes) {
  printer << "[";
  printer.printStrippedAttrOrType(axes);
  printer << "]";
}

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
