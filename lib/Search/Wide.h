#ifndef MPOPT_LIB_SEARCH_WIDE_H
#define MPOPT_LIB_SEARCH_WIDE_H

#include "Meter.h"
#include "Model.h"
#include "Routes.h"

#include <functional>
#include <mutex>

namespace mpopt::search {

/// What the searchers of one problem know together.
class Incumbent {
public:
  struct State {
    std::vector<int32_t> strategies; ///< Per variable, in the numbers of the problem; empty where no plan is known.
    double cost = kForbidden;
    double bound = -kForbidden;
  };

  /// Called, one at a time, after a change.
  std::function<void(const State &)> onChange;

  void offer(const Model &model, const std::vector<int32_t> &choice, double value);
  void raise(double value);
  State state() const;

private:
  mutable std::mutex mutex;
  std::vector<int32_t> strategies;
  double cost = kForbidden, bound = -kForbidden;
};

struct WideOptions {
  uint64_t seed = 1;
  int threads = 1;
  double gap = 0;
};

/// Spends at most a hundredth of the meter on some plan and some bound, so that there is one to show or to stop with.
void findFirstPlan(const Model &model, Meter meter, uint64_t seed, Incumbent &shared);

/// Searches until the meter ends, the gap is closed, or the meter is stopped.
void searchWidely(const Model &model, Meter meter, const WideOptions &options, Incumbent &shared);

/// In the strategies of `model`, with which the search began.
Outcome outcomeOf(const Model &model, const Incumbent::State &state);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_WIDE_H
