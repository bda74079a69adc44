#ifndef MPOPT_LIB_PLANNING_REPORT_H
#define MPOPT_LIB_PLANNING_REPORT_H

#include "Model.h"
#include "mpopt/Planning/Planning.h"

namespace mpopt::planning {

/// What a solution of the model means. Reshards are counted as partitioning makes them: one for all
/// uses of a value under one sharding, from the nearest copy that earlier uses have left.
PlanReport makeReport(const Model &model, const search::Solution &solution, const PlanMesh &mesh, Prices &prices);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_REPORT_H
