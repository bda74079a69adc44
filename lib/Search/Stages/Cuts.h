#ifndef MPOPT_LIB_SEARCH_STAGES_CUTS_H
#define MPOPT_LIB_SEARCH_STAGES_CUTS_H

#include "mpopt/Search/Stages.h"

namespace mpopt::search {

struct Cuts {
  std::vector<int64_t> layersBefore;
  int64_t step = 1; ///< The distance at which to refine them; where it is 1, they are all there are.
};

/// Everywhere in short runs, every `step` layers in long ones.
Cuts gridCuts(const StageProblem &problem, const StageOptions &options);

/// Where stages of equal numbers of layers begin, and everywhere in short runs.
Cuts evenCuts(const StageProblem &problem, const StageOptions &options);

/// Two steps to either side of each stage's beginning, and the borders of the runs.
std::vector<int64_t> cutsAround(const StageProblem &problem, const StageSolution &solution, int64_t step);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_STAGES_CUTS_H
