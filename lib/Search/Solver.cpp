#include "mpopt/Search/Solver.h"
#include "Bound.h"
#include "Linking.h"
#include "LocalSearch.h"
#include "Routes.h"
#include "Wide.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace mpopt::search {

/// What share of the effort one exact elimination may take. Without a memory limit one is
/// enough; with one, prices and branches take many.
static constexpr double kSingleShare = 0.5, kPricedShare = 0.05;
/// Effort for the problem of equal blocks, beside all other; and where one elimination, which then is all there is to it, solves it.
static constexpr double kLinkedShare = 0.5, kSolvedLinkedShare = 4;
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

static Result<Solution> solveModel(const Problem &problem, const Model &model, const SolveOptions &options,
                                   bool mayLink);

static double workOf(const SolveOptions &options) { return std::max(options.timeLimit, 0.001) * kWorkPerSecond; }

/// The elimination of all variables, if `work` allows as many as the search needs.
static std::optional<Elimination> planElimination(const Model &model, double work) {
  std::vector<int32_t> everything(model.variables.size());
  for (size_t v = 0; v < everything.size(); ++v)
    everything[v] = int32_t(v);
  return Elimination::plan(model, everything, (model.room.empty() ? kSingleShare : kPricedShare) * work, kTableLimit);
}

/// A plan in which equal blocks are solved alike: a small problem, which the search gets to the bottom of.
static Outcome solveLinked(const Problem &problem, const Model &model, SolveOptions options) {
  Outcome outcome;
  std::optional<Linked> linked = link(problem);
  if (!linked)
    return outcome;
  Result<Model> small = reduce(linked->problem);
  if (!small)
    return outcome;
  bool solved = small->room.empty() && planElimination(*small, kSolvedLinkedShare * workOf(options));
  options.timeLimit *= solved ? kSolvedLinkedShare : kLinkedShare;
  Result<Solution> solution = solveModel(linked->problem, *small, options, /*mayLink=*/false);
  if (!solution)
    return outcome;
  LocalSearch local(model, nearestChoice(model, linked->expand(solution->choice)));
  if (local.repair()) {
    local.improve();
    outcome.offer(model, local.choice());
  }
  return outcome;
}

static Result<Solution> solveModel(const Problem &problem, const Model &model, const SolveOptions &options,
                                   bool mayLink) {
  if (model.variables.empty()) {
    Outcome outcome;
    outcome.cost = outcome.bound = model.constant;
    return finish(problem, model, outcome);
  }
  Budget budget{workOf(options), std::max(options.gap, 0.0)};
  std::optional<Elimination> all = planElimination(model, budget.left);
  bool isEasy = all && model.room.empty();
  Outcome known = mayLink && !isEasy ? solveLinked(problem, model, options) : Outcome();
  Outcome outcome =
      all ? searchExactly(model, *all, budget, std::move(known)) : searchWidely(model, budget, options.seed, known);
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
  Result<Solution> solution = solveModel(problem, *model, options, /*mayLink=*/true);
  if (solution)
    solution->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return solution;
}

/// Where all costs are integers so is the best one, and a bound can be rounded up, less what it may be off.
static double roundedUp(const Model &model, double bound) {
  if (!isIntegral(model) || std::abs(bound) == kForbidden)
    return bound;
  return std::ceil(bound - 1e-9 * std::max(1.0, std::abs(bound)));
}

/// First some plan; then narrow models get the exact search with a part of the time; what that leaves open, and all others, the wide one.
static Outcome searchAnytime(const Model &model, const Meter &meter, const AnytimeOptions &options) {
  std::vector<int32_t> everything(model.variables.size());
  for (size_t v = 0; v < everything.size(); ++v)
    everything[v] = int32_t(v);
  Incumbent shared;
  if (options.onProgress)
    shared.onChange = [&](const Incumbent::State &state) { options.onProgress({state.cost, state.bound}); };
  findFirstPlan(model, meter, options.seed, shared);
  Budget budget{0.2 * (meter.end() - meter.now()), 0, &meter};
  double share = model.room.empty() ? 1 : kPricedShare;
  if (auto all = Elimination::plan(model, everything, share * budget.left, kTableLimit)) {
    Outcome outcome = searchExactly(model, *all, budget);
    outcome.bound = roundedUp(model, outcome.bound);
    if (outcome.closed() || outcome.bound == kForbidden)
      return outcome;
    if (outcome.found())
      shared.offer(model, outcome.choice, outcome.cost);
    shared.raise(outcome.bound);
  }
  searchWidely(model, meter, {options.seed, options.threads, 0}, shared);
  return outcomeOf(model, shared.state());
}

Result<Solution> solveAnytime(const Problem &problem, const AnytimeOptions &options) {
  Meter meter(options.seconds, options.stop);
  if (Status status = check(problem); !status)
    return tl::unexpected<Error>(status.error());
  Result<Model> model = reduce(problem);
  if (!model)
    return tl::unexpected<Error>(model.error());
  Outcome outcome;
  if (model->variables.empty())
    outcome.cost = outcome.bound = model->constant;
  else
    outcome = searchAnytime(*model, meter, options);
  if (!outcome.found() && outcome.bound == kForbidden)
    return error("no allowed combination of strategies fits; allow more pairs or more memory");
  if (!outcome.found())
    return error("no plan that fits the memory limit was found in time; give more time or more memory");
  Solution solution = finish(problem, *model, outcome);
  solution.seconds = meter.now() / kWorkPerSecond;
  return solution;
}

} // namespace mpopt::search
