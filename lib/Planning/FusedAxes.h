#ifndef MPOPT_LIB_PLANNING_FUSEDAXES_H
#define MPOPT_LIB_PLANNING_FUSEDAXES_H

#include "ReshardTable.h"

namespace mpopt::planning {

/// The axes of a mesh in runs of neighbours: the number of the first axis of each run, ascending.
using AxisRuns = std::vector<int>;

/// The longest runs of axes of one link level that lie side by side in both shardings, in the same order: whatever one axis of a run does on the
/// way from one to the other, the rest may do with it.
AxisRuns commonRuns(const PlainSharding &from, const PlainSharding &to, const PlanMesh &mesh);

/// The mesh in which each run is one axis. Knows no roles.
PlanMesh fusedMesh(const PlanMesh &mesh, const AxisRuns &runs);

/// The same sharding over the fused mesh; `runs` as commonRuns() gave them for it.
PlainSharding fused(const PlainSharding &sharding, const AxisRuns &runs);

/// All shardings of a type in which the axes of each link level go one way together: into one dimension that they divide, to partial sums, or to
/// nothing.
std::vector<PlainSharding> levelShardings(mlir::RankedTensorType type, const PlanMesh &mesh);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_FUSEDAXES_H
