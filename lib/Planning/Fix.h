#ifndef MPOPT_LIB_PLANNING_FIX_H
#define MPOPT_LIB_PLANNING_FIX_H

#include "Model.h"

namespace mpopt::planning {

/// How much of a fixed plan the stages before have taken.
struct FixedPlace {
  size_t operators = 0, inputs = 0, outputs = 0;
};

/// Leaves every decision of the model only what the fixed plan says from `place` on, and moves that. Errors name the operator that is another one
/// there, or that cannot be spread that way here. What stages send each other is free.
Status fixPlan(Model &model, const Prices &prices, const FixedPlan &fixed, FixedPlace &place);

/// Error where the fixed plan is for another mesh than `mesh`, a meshText().
Status checkFixedMesh(const FixedPlan &fixed, const std::string &mesh);

/// Error where the fixed plan has more operators than were taken.
Status checkAllFixed(const FixedPlan &fixed, const FixedPlace &place);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_FIX_H
