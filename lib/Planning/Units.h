#ifndef MPOPT_LIB_PLANNING_UNITS_H
#define MPOPT_LIB_PLANNING_UNITS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"

namespace mpopt::planning {

/// Into how many parts a dimension may be cut so that reshapes elsewhere keep whole parts: 12 for the 768 columns of a projection
/// that a later reshape makes into 12 heads of 64. Cutting such a dimension further costs a reshard at the reshape. Found by carrying the
/// reshapes' factors through all operators' rules, forwards and backwards.
class DimUnits {
public:
  explicit DimUnits(mlir::func::FuncOp main);

  /// Parts per factor of an operator of @main; 0 where no reshape asks for any.
  llvm::SmallVector<int64_t> ofFactors(mlir::Operation *op, const shd::PartitionRule &rule) const;

private:
  bool visit(mlir::Operation *op, const shd::PartitionRule &rule);
  bool note(mlir::Value value, unsigned dim, int64_t unit);

  llvm::DenseMap<std::pair<mlir::Value, unsigned>, int64_t> units;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_UNITS_H
