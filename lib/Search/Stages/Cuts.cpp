#include "Cuts.h"

#include <algorithm>
#include <bit>

namespace mpopt::search {

namespace {

std::vector<int64_t> borders(const StageProblem &problem) {
  std::vector<int64_t> cuts = {0};
  for (const LayerRun &run : problem.runs)
    cuts.push_back(cuts.back() + run.count);
  return cuts;
}

/// Longer runs are not cut anywhere.
int64_t mostCuts(const StageProblem &problem, const StageOptions &options) {
  return std::max(options.exactCuts, options.cutsPerStage * problem.maxStages());
}

std::vector<int64_t> inOrder(std::vector<int64_t> cuts, int64_t layers) {
  std::erase_if(cuts, [&](int64_t cut) { return cut < 0 || cut > layers; });
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

} // namespace

Cuts gridCuts(const StageProblem &problem, const StageOptions &options) {
  Cuts result;
  std::vector<int64_t> cuts = borders(problem);
  int64_t most = mostCuts(problem, options), first = 0;
  for (const LayerRun &run : problem.runs) {
    int64_t step = run.count <= most ? 1 : static_cast<int64_t>(std::bit_ceil(uint64_t((run.count + most - 1) / most)));
    for (int64_t at = 0; at < run.count; at += step)
      cuts.push_back(first + at);
    first += run.count;
    result.step = std::max(result.step, step);
  }
  result.layersBefore = inOrder(std::move(cuts), problem.layers());
  return result;
}

Cuts evenCuts(const StageProblem &problem, const StageOptions &options) {
  Cuts result;
  std::vector<int64_t> cuts = borders(problem);
  int64_t most = mostCuts(problem, options), first = 0, stages = problem.maxStages();
  for (const LayerRun &run : problem.runs) {
    for (int64_t at = 0; run.count <= most && at < run.count; ++at)
      cuts.push_back(first + at);
    first += run.count;
  }
  for (int64_t stage = 1; stage < stages; ++stage) // halfway up: the middle of what an uneven division leaves
    cuts.push_back((2 * stage * problem.layers() + stages) / (2 * stages));
  result.step = static_cast<int64_t>(std::bit_ceil(uint64_t(std::max<int64_t>(2, problem.layers() / stages / 2))));
  result.layersBefore = inOrder(std::move(cuts), problem.layers());
  return result;
}

std::vector<int64_t> cutsAround(const StageProblem &problem, const StageSolution &solution, int64_t step) {
  std::vector<int64_t> cuts = borders(problem);
  for (const Stage &stage : solution.stages)
    for (int64_t away = -2; away <= 2; ++away)
      cuts.push_back(stage.first + away * step);
  return inOrder(std::move(cuts), problem.layers());
}

} // namespace mpopt::search
