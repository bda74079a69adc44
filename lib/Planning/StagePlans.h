#ifndef MPOPT_LIB_PLANNING_STAGEPLANS_H
#define MPOPT_LIB_PLANNING_STAGEPLANS_H

#include "mpopt/Planning/Planning.h"

namespace mpopt::planning {

/// Lays out each stage, a function of its own with sends and receives, on a mesh of its own, and fills in the report but for what depends on the
/// number of microbatches. What a stage receives is part of its search: the price of taking it in each sharding, by the bytes that a device
/// holds then. Emits an error where a stage has no plan.
llvm::LogicalResult planStages(mlir::ModuleOp module, llvm::ArrayRef<mlir::func::FuncOp> functions,
                               const PlanOptions &options, PlanReport &report);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_STAGEPLANS_H
