#ifndef MPOPT_LIB_SEARCH_ROUTES_H
#define MPOPT_LIB_SEARCH_ROUTES_H

#include "Elimination.h"
#include "Meter.h"

#include <cstdint>

namespace mpopt::search {

/// The best plan found for a model, if any, and a bound that no plan which fits
/// undercuts.
struct Outcome {
  std::vector<int32_t> choice; ///< Per variable; empty where none was found.
  double cost = kForbidden;
  double bound = -kForbidden;

  bool found() const { return cost != kForbidden; }
  /// Whether the plan is known to cost at most (1 + gap) times the best one, up to rounding.
  bool closed(double gap = 0) const;
  /// Takes over a plan that fits if it is better.
  bool offer(const Model &model, const std::vector<int32_t> &candidate);
};

/// Counts work, so that the same problem gets the same effort on any host.
struct Budget {
  double left;                  ///< Additions.
  double gap = 0;               ///< How near to the best plan is near enough.
  const Meter *clock = nullptr; ///< If set, ends the effort too.

  bool spend(double work) { return (left -= work) >= 0; }
  bool over() const { return left <= 0 || (clock && clock->over()); }
};

/// Models of small width: elimination at prices for the memory rows, then
/// branch and bound on what gap is left. `known` may hold a plan that fits.
Outcome searchExactly(const Model &model, Elimination &all, Budget &budget, Outcome known = {});

/// Models of any width: message passing for the bound, local search with
/// elimination in neighbourhoods for the plan. Ends in searchExactly() if
/// enough strategies can be ruled out. `known` as above.
Outcome searchWidely(const Model &model, Budget &budget, uint64_t seed, const Outcome &known = {});

/// By how much the plan of least peak among those tried exceeds the room,
/// negative if it fits; the most int64_t where no combination is allowed. For
/// telling how much memory a problem needs.
int64_t leastExcess(const Model &model, Elimination &all, Budget &budget);

/// The model without the strategies that `keep` does not mark. Every variable
/// must keep one.
Model restricted(const Model &model, const std::vector<std::vector<char>> &keep);

/// Rewrites arcs so that every class of every table has a strategy.
void compact(Model &model);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_ROUTES_H
