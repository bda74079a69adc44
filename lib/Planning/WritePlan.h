#ifndef MPOPT_LIB_PLANNING_WRITEPLAN_H
#define MPOPT_LIB_PLANNING_WRITEPLAN_H

#include "Model.h"

namespace mpopt::planning {

/// Takes an earlier plan off a function and its module.
void removePlan(mlir::ModuleOp module, mlir::func::FuncOp main);

/// Writes a solution down as the mesh and the shardings of a function.
void writePlan(mlir::ModuleOp module, mlir::func::FuncOp main, const PlanMesh &mesh, const Model &model,
               llvm::ArrayRef<int32_t> choice, const Prices &prices);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_WRITEPLAN_H
