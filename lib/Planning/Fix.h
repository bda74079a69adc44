#ifndef MPOPT_LIB_PLANNING_FIX_H
#define MPOPT_LIB_PLANNING_FIX_H

#include "Model.h"

namespace mpopt::planning {

/// Leaves every decision of the model only what the fixed plan says. Errors name the operator that is another one there, or that cannot
/// be spread that way here. Nothing is fixed where there is no such plan.
Status fixPlan(Model &model, const PlanMesh &mesh, const Prices &prices, const std::optional<FixedPlan> &fixed);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_FIX_H
