#ifndef MPOPT_LIB_SEARCH_TRAINING_FRAMES_H
#define MPOPT_LIB_SEARCH_TRAINING_FRAMES_H

#include "Cells.h"

namespace mpopt::search {

/// All of a uniform layout but where layers are cut and what is recomputed.
struct Frame {
  const Cell *cell = nullptr;
  int64_t pp = 1;
  int64_t dp = 1;
  int64_t interleave = 1;
  int64_t microbatches = 1;
  cost::Schedule schedule = cost::Schedule::OneForwardOneBackward;
  cost::StateSharding sharding = cost::StateSharding::None;
  double estimate = 0; ///< Seconds of a step.

  /// The layout of each stage.
  cost::TrainingPlan plan(const TrainingQuery &query) const;
};

/// Bytes that a plan may take on a device, for the certainty that the query asks for.
double memoryLimit(const TrainingQuery &query);

/// All frames of the query's devices and batch that its pins allow and that may fit the memory, ascending by estimate. The estimate takes
/// stages for equal and memory for evenly used, both of which no plan betters by much.
std::vector<Frame> enumerateFrames(const TrainingQuery &query, Cells &cells);

/// What of the query's pins contradicts its shape, its devices, its batch or other pins, whatever is not pinned; nothing where they may hold.
Status checkPins(const TrainingQuery &query);

/// Ascending divisors.
std::vector<int64_t> divisorsOf(int64_t number);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_TRAINING_FRAMES_H
