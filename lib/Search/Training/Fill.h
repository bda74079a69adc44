#ifndef MPOPT_LIB_SEARCH_TRAINING_FILL_H
#define MPOPT_LIB_SEARCH_TRAINING_FILL_H

#include "Frames.h"

namespace mpopt::search {

/// Cuts a frame's stages, decides what each recomputes, and prices the result. Nothing where it does not fit the memory.
std::optional<TrainingCandidate> fill(const TrainingQuery &query, const Frame &frame);

/// The same with stages of different numbers of devices, each with its own tensor, data and context parallelism; of the frame, only the sequences
/// per pass and the sharding of state hold. 1F1B.
std::optional<TrainingCandidate> fillMixed(const TrainingQuery &query, Cells &cells, const Frame &frame);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_TRAINING_FILL_H
