#ifndef MPOPT_LIB_PLANNING_MESH_H
#define MPOPT_LIB_PLANNING_MESH_H

#include "mpopt/Dialect/Shd/Shd.h"
#include "mpopt/Machine/Mesh.h"
#include "mpopt/Planning/Options.h"

namespace mpopt::planning {

/// The mesh of a plan, or of each of its stages, as the machine and as the IR know it; axis i is the same in all members.
struct PlanMesh {
  machine::Mesh mesh;
  shd::MeshAttr attr;
  mlir::FlatSymbolRefAttr symbol;
  llvm::SmallVector<mlir::StringAttr> axes;
  /// What each axis does; all nullopt where no strategy is given.
  llvm::SmallVector<std::optional<Role>> roles;
  /// Devices per role; all 1 where no strategy is given.
  Strategy ways;

  size_t size() const { return axes.size(); }
  bool hasRoles() const { return !roles.empty() && roles.front().has_value(); }
  /// Place of the axis of that name.
  int indexOf(mlir::StringAttr axis) const { return llvm::find(axes, axis) - axes.begin(); }
};

/// Lays the devices of a stage out and deals the axes to the strategy's roles. Errors: a number of devices that the machine cannot give, that
/// the strategy does not multiply up to, or that its stages do not divide.
Result<PlanMesh> makePlanMesh(mlir::MLIRContext *context, const PlanOptions &options);

/// A mesh that a plan holds already, without roles.
PlanMesh planMeshOf(shd::MeshAttr attr);

/// The mesh of one stage of several that differ: `devices` devices of the machine, as @mesh_`stage`, dealt to the roles of `ways`
/// where it has roles. Error: they do not multiply up to so many.
Result<PlanMesh> makeStageMesh(mlir::MLIRContext *context, const machine::Machine &machine, int64_t stage,
                               int64_t devices, const Strategy &ways);

/// Error where the roles of a stage do not multiply up to its devices.
Status checkRoles(int64_t stage, int64_t devices, const Strategy &ways);

/// The roles of a stage of such a strategy; without roles where it has none.
Strategy rolesOfStage(const std::optional<Strategy> &strategy, size_t stage);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_MESH_H
