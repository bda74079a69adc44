#ifndef MPOPT_LIB_PLANNING_SOLVE_H
#define MPOPT_LIB_PLANNING_SOLVE_H

#include "mpopt/Planning/Options.h"
#include "mpopt/Search/Problem.h"

namespace mpopt::planning {

/// Solves for the objective, with at most `limit` bytes per device.
Result<search::Solution> solve(search::Problem &problem, const PlanOptions &options, int64_t limit);

/// Bytes that planning may fill on a device of the machine.
int64_t memoryLimit(const PlanOptions &options, const machine::Machine &machine);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_SOLVE_H
