#include "Solve.h"
#include "mpopt/Search/Solver.h"

namespace mpopt::planning {
namespace {

/// Most bytes that any choice could need; when the limit allows that, memory is no constraint.
int64_t mostUsage(const search::Problem &problem) {
  int64_t sum = 0;
  for (const search::Node &node : problem.nodes)
    for (const search::UsageComponent &usage : node.usages)
      sum += *std::max_element(usage.usages.begin(), usage.usages.end());
  return sum;
}

Result<search::Solution> solveWithin(search::Problem &problem, int64_t limit) {
  problem.usageLimit = mostUsage(problem) > limit ? std::optional(limit) : std::nullopt;
  Result<search::Solution> solution = search::solve(problem);
  if (!solution)
    return solution;
  if (Result<double> cost = search::verify(problem, *solution); !cost)
    return error("the solver's answer is wrong: " + cost.error().message);
  return solution;
}

/// Least memory by bisection to about a hundredth, and the fastest plan within it.
Result<search::Solution> solveForMemory(search::Problem &problem, int64_t limit) {
  Result<search::Solution> best = solveWithin(problem, limit);
  for (int64_t below = 0; best && best->peak - below > best->peak / 100 + 1;) {
    int64_t middle = below + (best->peak - below) / 2;
    if (Result<search::Solution> tighter = solveWithin(problem, middle))
      best = std::move(tighter);
    else
      below = middle;
  }
  return best;
}

} // namespace

Result<search::Solution> solve(search::Problem &problem, const PlanOptions &options, int64_t limit) {
  return options.objective == "memory" ? solveForMemory(problem, limit) : solveWithin(problem, limit);
}

int64_t memoryLimit(const PlanOptions &options, const machine::Machine &machine) {
  auto bytes = static_cast<double>(options.memoryLimit.value_or(machine.device().memoryBytes));
  return static_cast<int64_t>(bytes * options.memoryShare);
}

} // namespace mpopt::planning
