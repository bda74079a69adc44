#include "mpopt/Search/Alternatives.h"
#include "Reduce.h"
#include "Routes.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

/// Most additions and table entries of the elimination that answers questions; wider problems are searched anew each time.
static constexpr double kWorkLimit = 4e9, kTableLimit = 1 << 25;
static constexpr uint64_t kSeed = 1;

struct Alternatives::State {
  const Problem &problem;
  Groups groups;
  Model model;
  std::vector<int32_t> variableOf; ///< Per node of the problem; -1 where it is decided.
  std::optional<Elimination> all;

  std::vector<int32_t> everything() const {
    std::vector<int32_t> variables(model.variables.size());
    for (size_t v = 0; v < variables.size(); ++v)
      variables[v] = int32_t(v);
    return variables;
  }
};

Alternatives::Alternatives(std::unique_ptr<State> state) : state(std::move(state)) {}
Alternatives::Alternatives(Alternatives &&) noexcept = default;
Alternatives &Alternatives::operator=(Alternatives &&) noexcept = default;
Alternatives::~Alternatives() = default;

Result<Alternatives> Alternatives::make(const Problem &problem, const Groups &groups) {
  if (Status status = check(problem); !status)
    return tl::unexpected<Error>(status.error());
  Result<Model> model = reduce(problem, groups);
  if (!model)
    return tl::unexpected<Error>(model.error());
  auto state = std::make_unique<State>(
      State{problem, groups, std::move(*model), std::vector<int32_t>(problem.nodes.size(), -1), {}});
  for (size_t v = 0; v < state->model.variables.size(); ++v)
    state->variableOf[size_t(state->model.variables[v].node)] = int32_t(v);
  state->all = Elimination::plan(state->model, state->everything(), kWorkLimit, kTableLimit);
  return Alternatives(std::move(state));
}

double Alternatives::work() const { return state->all ? state->all->work() : kWorkLimit; }

/// Per variable and strategy whether it may be taken; nullopt where a node is left without any.
static std::optional<std::vector<std::vector<char>>>
allowed(const Model &model, const Groups &groups, const std::vector<int32_t> &variableOf, std::span<const Ban> bans) {
  std::vector<std::vector<char>> keep;
  for (const Variable &variable : model.variables)
    keep.emplace_back(variable.strategies.size(), 1);
  for (const Ban &ban : bans) {
    const std::vector<int32_t> &group = groups[size_t(ban.node)];
    int32_t v = variableOf[size_t(ban.node)];
    if (v < 0) { // decided: it has this one strategy, whatever is chosen elsewhere
      if (group[size_t(model.decided[size_t(ban.node)])] == ban.group)
        return std::nullopt;
      continue;
    }
    const std::vector<int32_t> &strategies = model.variables[size_t(v)].strategies;
    for (size_t s = 0; s < strategies.size(); ++s)
      keep[size_t(v)][s] &= group[size_t(strategies[s])] != ban.group;
    if (std::count(keep[size_t(v)].begin(), keep[size_t(v)].end(), 1) == 0)
      return std::nullopt;
  }
  return keep;
}

static Solution finish(const Problem &problem, const Model &model, const std::vector<int32_t> &choice, double bound) {
  Solution solution;
  solution.choice = model.expand(choice);
  solution.cost = totalCost(problem, solution.choice);
  solution.peak = peakUsage(problem, solution.choice);
  solution.lowerBound = std::min(bound, solution.cost);
  solution.optimal =
      solution.cost - solution.lowerBound <= 1e-9 * std::max(std::abs(solution.cost), std::abs(solution.lowerBound));
  return solution;
}

Result<Solution> Alternatives::without(std::span<const Ban> bans, double solveWork) const {
  const Model &model = state->model;
  auto allowedOnes = allowed(model, state->groups, state->variableOf, bans);
  if (!allowedOnes)
    return error("no plan does without the banned strategies");
  const std::vector<std::vector<char>> &keep = *allowedOnes;
  if (state->all) {
    std::vector<std::vector<double>> unary;
    for (size_t v = 0; v < keep.size(); ++v) {
      unary.push_back(model.variables[v].costs);
      for (size_t s = 0; s < keep[v].size(); ++s)
        if (!keep[v][s])
          unary[v][s] = kForbidden;
    }
    std::vector<int32_t> choice(keep.size(), 0);
    double least = state->all->solve(unary, choice);
    if (least == kForbidden)
      return error("no plan does without the banned strategies");
    if (model.fits(choice))
      return finish(state->problem, model, choice, kForbidden);
  }
  Model rest = restricted(model, keep);
  Budget budget{solveWork};
  std::optional<Elimination> all = Elimination::plan(rest, state->everything(), solveWork / 20, kTableLimit);
  Outcome outcome = all ? searchExactly(rest, *all, budget) : searchWidely(rest, budget, kSeed);
  if (!outcome.found())
    return error("no plan without the banned strategies was found that fits the memory limit");
  return finish(state->problem, rest, outcome.choice, outcome.bound);
}

} // namespace mpopt::search
