#ifndef MPOPT_LIB_SEARCH_STAGES_FRONTIER_H
#define MPOPT_LIB_SEARCH_STAGES_FRONTIER_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mpopt::search {

/// One trade of memory for time, and what it was put together from.
struct Trade {
  double bytes = 0;
  double seconds = 0;
  int32_t middle = 0; ///< State between the two parts.
  int32_t left = 0;   ///< Number of the trade of each part.
  int32_t right = 0;
};

/// Trades of which none is beaten in both: bytes ascend, seconds descend.
using Frontier = std::vector<Trade>;

/// Sorts, and drops what is beaten or takes more than `limit` bytes; of more than `points` trades it keeps as many, evenly spread, among them
/// the first and the last.
void reduce(Frontier &trades, double limit, size_t points);

/// Adds every trade of `left` followed by every trade of `right` to `sums`, unreduced.
void addProducts(Frontier &sums, const Frontier &left, const Frontier &right, int32_t middle, double limit);

/// Seconds of the fastest trade within `bytes`, or infinity.
double fastestWithin(const Frontier &trades, double bytes);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_STAGES_FRONTIER_H
