#ifndef MPOPT_LIB_PLANNING_NAMES_H
#define MPOPT_LIB_PLANNING_NAMES_H

#include "mlir/IR/Location.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"

namespace mpopt::planning {

/// Name of the ONNX node at a location; empty when it names none.
llvm::StringRef nodeName(mlir::Location loc);

/// A sharding for people: "[x0 x1, -] partial x2".
std::string text(shd::ShardingAttr sharding);

/// "[x0, -] [-, x1] -> [x0, x1]".
std::string text(llvm::ArrayRef<shd::ShardingAttr> in, llvm::ArrayRef<shd::ShardingAttr> out);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_NAMES_H
