#ifndef MPOPT_SEARCH_SOLVER_H
#define MPOPT_SEARCH_SOLVER_H

#include "mpopt/Search/Problem.h"

#include <atomic>
#include <functional>

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

/// What is known while a search goes on; no plan yet where the cost is kForbidden.
struct Progress {
  double cost = kForbidden;
  double lowerBound = -kForbidden;
};

struct AnytimeOptions {
  double seconds = 10; ///< By the clock, from the call on.
  int threads = 1;
  uint64_t seed = 1;
  /// The search ends soon after this becomes true. May be null.
  const std::atomic<bool> *stop = nullptr;
  /// Called from any of the threads, one at a time, when something better is known. May be empty.
  std::function<void(const Progress &)> onProgress;
};

/// The best plan by some time, or until it is known to be optimal. Other than solve(), this depends on the host's speed and
/// load. The bound is computed in integers where all costs are integers. Errors as for solve().
Result<Solution> solveAnytime(const Problem &problem, const AnytimeOptions &options);

} // namespace mpopt::search

#endif // MPOPT_SEARCH_SOLVER_H
