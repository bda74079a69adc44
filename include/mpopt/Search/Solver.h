#ifndef MPOPT_SEARCH_SOLVER_H
#define MPOPT_SEARCH_SOLVER_H

#include "mpopt/Search/Problem.h"

namespace mpopt::search {

struct SolveOptions {
  /// How much work to do, in nominal seconds of one core. Counted in
  /// operations, never by the clock, so that the same problem always gets the
  /// same answer; the true time is of that order. Easy problems take far less.
  double timeLimit = 1;
  /// Stop once the plan is known to be within this share of the best one.
  double gap = 0;
  uint64_t seed = 1; ///< For the random neighbourhoods of the local search.
};

/// A cheapest or nearly cheapest plan with a valid lower bound. Problems of
/// small width without a binding memory limit are solved exactly. Errors:
/// check() fails; no allowed combination exists; no plan within the memory
/// limit was found (says how much the least plan needs).
Result<Solution> solve(const Problem &problem, const SolveOptions &options = {});

} // namespace mpopt::search

#endif // MPOPT_SEARCH_SOLVER_H
