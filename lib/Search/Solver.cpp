#include "mpopt/Search/Solver.h"
#include "LocalSearch.h"
#include "Routes.h"

#include <algorithm>
#include <chrono>

namespace mpopt::search {

/// Additions per nominal second, and what share of them one exact elimination may take. Without a memory limit one is
/// enough; with one, prices and branches take many.
static constexpr double kWorkPerSecond = 2e9, kSingleShare = 0.5, kPricedShare = 0.05;
/// Numbers in all tables of one elimination (256 MB).
static constexpr double kTableLimit = 1 << 25;

static Error tooLittleMemory(const Problem &problem, const Model &model, Elimination *all, bool exhausted) {
  Budget budget{2e9};
  int64_t excess = std::numeric_limits<int64_t>::max();
  if (all)
    excess = leastExcess(model, *all, budget);
  std::string limit = std::to_string(*problem.usageLimit);
  std::string text = exhausted ? "no plan fits the memory limit of " + limit
                               : "no plan was found that fits the memory limit of " + limit;
  if (excess != std::numeric_limits<int64_t>::max())
    text += ": the plan of least memory needs " + std::to_string(*problem.usageLimit + std::max<int64_t>(excess, 0));
  return {text + "; use more devices or a device with more memory"};
}

static Solution finish(const Problem &problem, const Model &model, const Outcome &outcome) {
  Solution solution;
  solution.choice = model.expand(outcome.choice);
  solution.cost = totalCost(problem, solution.choice);
  solution.peak = peakUsage(problem, solution.choice);
  solution.optimal = outcome.closed();
  solution.lowerBound = std::min(outcome.bound, solution.cost);
  return solution;
}

static Result<Solution> solveModel(const Problem &problem, const Model &model, const SolveOptions &options) {
  if (model.variables.empty()) {
    Outcome outcome;
    outcome.cost = outcome.bound = model.constant;
    return finish(problem, model, outcome);
  }
  Budget budget{std::max(options.timeLimit, 0.001) * kWorkPerSecond, std::max(options.gap, 0.0)};
  std::vector<int32_t> everything(model.variables.size());
  for (size_t v = 0; v < everything.size(); ++v)
    everything[v] = int32_t(v);
  double share = model.room.empty() ? kSingleShare : kPricedShare;
  std::optional<Elimination> all = Elimination::plan(model, everything, share * budget.left, kTableLimit);
  Outcome outcome = all ? searchExactly(model, *all, budget) : searchWidely(model, budget, options.seed);
  if (outcome.found())
    return finish(problem, model, outcome);
  if (model.room.empty())
    return error(outcome.bound == kForbidden ? "no allowed combination of strategies exists; allow more pairs"
                                             : "no allowed combination of strategies was found; allow more "
                                               "pairs");
  if (all && outcome.bound == kForbidden && leastExcess(model, *all, budget) == std::numeric_limits<int64_t>::max())
    return error("no allowed combination of strategies exists; allow more pairs");
  return tl::unexpected<Error>(tooLittleMemory(problem, model, all ? &*all : nullptr, outcome.bound == kForbidden));
}

Result<Solution> solve(const Problem &problem, const SolveOptions &options) {
  auto start = std::chrono::steady_clock::now();
  if (Status status = check(problem); !status)
    return tl::unexpected<Error>(status.error());
  Result<Model> model = reduce(problem);
  if (!model)
    return tl::unexpected<Error>(model.error());
  Result<Solution> solution = solveModel(problem, *model, options);
  if (solution)
    solution->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return solution;
}

} // namespace mpopt::search
