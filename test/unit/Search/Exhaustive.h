#ifndef MPOPT_TEST_UNIT_SEARCH_EXHAUSTIVE_H
#define MPOPT_TEST_UNIT_SEARCH_EXHAUSTIVE_H

#include "mpopt/Search/Problem.h"

#include <algorithm>

namespace mpopt::search {

struct Exhaustive {
  double cost = kForbidden;
  int64_t leastPeak = std::numeric_limits<int64_t>::max(); ///< Over allowed plans, whatever the
                                                           ///< limit.
};

/// Tries every plan of a small problem.
inline Exhaustive tryAll(const Problem &problem) {
  Exhaustive best;
  std::vector<int32_t> choice(problem.nodes.size(), 0);
  for (bool more = true; more;) {
    double cost = totalCost(problem, choice);
    if (cost != kForbidden) {
      int64_t peak = peakUsage(problem, choice);
      best.leastPeak = std::min(best.leastPeak, peak);
      if (!problem.usageLimit || peak <= *problem.usageLimit)
        best.cost = std::min(best.cost, cost);
    }
    more = false;
    for (size_t i = 0; i < choice.size() && !more; ++i) {
      more = size_t(++choice[i]) < problem.nodes[i].costs.size();
      if (!more)
        choice[i] = 0;
    }
  }
  return best;
}

} // namespace mpopt::search

#endif // MPOPT_TEST_UNIT_SEARCH_EXHAUSTIVE_H
