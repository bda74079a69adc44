#include "mpopt/Search/Alternatives.h"
#include "Forest.h"
#include "Prices.h"
#include "Reduce.h"
#include "Routes.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

/// Most additions and table entries of the elimination that answers questions; in wider problems, plans are searched for near the best one.
static constexpr double kWorkLimit = 1e9, kTableLimit = 1 << 24;
/// How far from a banned node plans may change, in arcs, and how often they are improved.
static constexpr int kRadius = 7, kRounds = 5;
/// Attempts at dearer and dearer memory.
static constexpr int kPriceSteps = 12;

struct Alternatives::State {
  const Problem &problem;
  Groups groups;
  Model model;
  std::vector<int32_t> variableOf; ///< Per node of the problem; -1 where it is decided.
  std::optional<Elimination> all;
  std::vector<int32_t> start; ///< Per variable, its strategy in the best plan.
  double spent = 0;

  Result<Solution> near(const std::vector<std::vector<char>> &keep, std::span<const Ban> bans);
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

/// The strategies of the best plan; one that was reduced away has become the cheapest that is left.
static std::vector<int32_t> startOf(const Model &model, const Solution &best) {
  std::vector<int32_t> start;
  for (const Variable &variable : model.variables) {
    auto it = std::find(variable.strategies.begin(), variable.strategies.end(), best.choice[size_t(variable.node)]);
    if (it == variable.strategies.end())
      start.push_back(int32_t(std::min_element(variable.costs.begin(), variable.costs.end()) - variable.costs.begin()));
    else
      start.push_back(int32_t(it - variable.strategies.begin()));
  }
  return start;
}

Result<Alternatives> Alternatives::make(const Problem &problem, const Groups &groups, const Solution &best) {
  if (Status status = check(problem); !status)
    return tl::unexpected<Error>(status.error());
  Result<Model> model = reduce(problem, groups);
  if (!model)
    return tl::unexpected<Error>(model.error());
  auto state = std::make_unique<State>(
      State{problem, groups, std::move(*model), std::vector<int32_t>(problem.nodes.size(), -1), {}, {}, 0});
  state->start = startOf(state->model, best);
  for (size_t v = 0; v < state->model.variables.size(); ++v)
    state->variableOf[size_t(state->model.variables[v].node)] = int32_t(v);
  state->all = Elimination::plan(state->model, state->everything(), kWorkLimit, kTableLimit);
  return Alternatives(std::move(state));
}

double Alternatives::work() const {
  if (state->all)
    return state->all->work();
  double tables = 0;
  for (const Arc &arc : state->model.arcs)
    tables += double(arc.table->values.size());
  constexpr double kUsualRounds = 3;
  return kUsualRounds * tables;
}

double Alternatives::spent() const { return state->spent; }

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
      solution.lowerBound != -kForbidden &&
      solution.cost - solution.lowerBound <= 1e-9 * std::max(std::abs(solution.cost), std::abs(solution.lowerBound));
  return solution;
}

/// Changes the best plan around each banned node in turn. Where the result does not fit, memory gets a price.
Result<Solution> Alternatives::State::near(const std::vector<std::vector<char>> &keep, std::span<const Ban> bans) {
  double price = 0, scale = 0, room = 1;
  for (const Variable &variable : model.variables)
    scale += *std::max_element(variable.costs.begin(), variable.costs.end());
  for (int64_t left : model.room)
    room = std::max(room, double(left));
  for (int step = 0; step < kPriceSteps; ++step) {
    ForestSearch::Costs costs =
        pricedCosts(model, Prices(model.room.size(), price / double(std::max<size_t>(1, model.room.size()))));
    for (size_t v = 0; v < keep.size(); ++v)
      for (size_t s = 0; s < keep[v].size(); ++s)
        if (!keep[v][s])
          costs[v][s] = kForbidden;
    ForestSearch search(model, start);
    for (const Ban &ban : bans)
      if (int32_t v = variableOf[size_t(ban.node)]; v >= 0)
        search.improve({v}, costs, kRadius, kRounds);
    spent += search.work();
    bool allowed = model.cost(search.choice()) != kForbidden;
    for (size_t v = 0; v < keep.size(); ++v)
      allowed &= keep[v][size_t(search.choice()[v])] != 0;
    if (!allowed)
      return error("no plan without the banned strategies was found near the best one");
    if (model.fits(search.choice()))
      return finish(problem, model, search.choice(), -kForbidden);
    price = price == 0 ? scale / room / 64 : 4 * price;
  }
  return error("no plan without the banned strategies was found that fits the memory limit");
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
    state->spent += state->all->work();
    if (least == kForbidden)
      return error("no plan does without the banned strategies");
    if (model.fits(choice))
      return finish(state->problem, model, choice, kForbidden);
  }
  if (!state->all)
    return state->near(keep, bans);
  Model rest = restricted(model, keep);
  Budget budget{solveWork};
  std::optional<Elimination> all = Elimination::plan(rest, state->everything(), solveWork / 20, kTableLimit);
  if (!all)
    return state->near(keep, bans);
  Outcome outcome = searchExactly(rest, *all, budget);
  state->spent += solveWork - budget.left;
  if (!outcome.found())
    return error("no plan without the banned strategies was found that fits the memory limit");
  return finish(state->problem, rest, outcome.choice, outcome.bound);
}

} // namespace mpopt::search
