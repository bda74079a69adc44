#ifndef MPOPT_LIB_SEARCH_WALK_H
#define MPOPT_LIB_SEARCH_WALK_H

#include "Flat.h"

#include <tuple>

namespace mpopt::search {

/// How good a plan is while it may still break rules: forbidden pairs count first, then memory over the room, then cost.
struct Merit {
  int64_t broken = 0; ///< Forbidden pairs.
  double excess = 0;  ///< Summed over rows.
  double cost = 0;    ///< Without forbidden pairs.

  bool allowed() const { return broken == 0 && excess <= 0; }
  bool operator<(const Merit &other) const {
    return std::tie(broken, excess, cost) < std::tie(other.broken, other.excess, other.cost);
  }
};

/// A plan whose merit and memory follow every change.
class Walk {
public:
  Walk(const Flat &flat, std::vector<int32_t> choice);

  const std::vector<int32_t> &choice() const { return current; }
  const Merit &merit() const { return now; }
  const std::vector<int64_t> &used() const { return usage; }

  /// The merit with the strategies that `candidate` has for `variables`, the others as they are. `overfull` then tells which
  /// rows that touches overflow.
  Merit measure(const std::vector<int32_t> &variables, const std::vector<int32_t> &candidate);
  const std::vector<int32_t> &overfull() const { return overfullRows; }

  /// Takes over what was measured last.
  void accept(const std::vector<int32_t> &variables, const std::vector<int32_t> &candidate);

  /// Additions done so far, about.
  double work() const { return done; }

private:
  void costChange(const std::vector<int32_t> &candidate, Merit &merit);
  void memoryChange(const std::vector<int32_t> &candidate, Merit &merit);
  void addUses(int32_t variable, int32_t strategy, int64_t sign);

  const Flat &flat;
  std::vector<int32_t> current;
  std::vector<int64_t> usage;
  Merit now, measured;
  std::vector<int32_t> changed, overfullRows;
  std::vector<char> isChanged;
  std::vector<int64_t> steps; ///< Differences between rows, zero between calls.
  int32_t low = 0, high = 0;  ///< Rows that changed.
  double done = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_WALK_H
