#include "LocalSearch.h"
#include "Messages.h"
#include "Neighbourhood.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

namespace {

constexpr int kRounds = 4;
constexpr int kMaxSweeps = 300;
/// Shares of a round's budget for the bound and for the local search; the rest is left for an exact end.
constexpr double kBoundShare = 0.35, kSearchShare = 0.45;
/// As in Solver.cpp.
constexpr double kExactWork = 2e9, kTableLimit = 1 << 25;

/// One round on one model: prices and messages for the bound, then neighbourhoods for the plan.
class WideSearch {
public:
  WideSearch(const Model &model, Outcome start, uint64_t seed, double gap)
      : outcome(std::move(start)), model(model), messages(model), prices(model.room.size(), 0.0), seed(seed), gap(gap) {
  }

  void raiseBound(double work);
  void lowerCost(double work);
  /// The strategies that a plan better than the best known one may still use.
  std::vector<std::vector<char>> survivors(size_t &removed);

  Outcome outcome;

private:
  void startPrices(double freeBound);
  void updatePrices(const std::vector<int64_t> &used, double progress);
  void offer(const std::vector<int32_t> &choice, Budget &budget);
  double penalty() const;

  const Model &model;
  Messages messages;
  Prices prices, bestPrices;
  Messages::State bestState;
  double bestBound = -kForbidden; ///< With bestState at bestPrices.
  std::vector<int32_t> start;
  uint64_t seed;
  double gap;
};

double WideSearch::penalty() const {
  double sum = 1e-30;
  for (const Variable &variable : model.variables)
    sum += std::abs(*std::max_element(variable.costs.begin(), variable.costs.end()));
  return std::max(sum, 2 * std::abs(bestBound));
}

void WideSearch::startPrices(double freeBound) {
  int64_t most = 1;
  for (int64_t room : model.room)
    most = std::max(most, room);
  double price = (std::abs(freeBound) + 1e-12) / (double(most) * double(std::max<size_t>(1, prices.size())));
  std::fill(prices.begin(), prices.end(), price);
}

/// Exponentiated gradient: rows with slack must lose their price as fast as overfull ones gain.
void WideSearch::updatePrices(const std::vector<int64_t> &used, double progress) {
  double rate = 0.4 * std::pow(0.05, progress);
  for (size_t row = 0; row < prices.size(); ++row) {
    double excess = double(used[row] - model.room[row]) / (1.0 + double(model.room[row]));
    prices[row] *= std::exp(rate * std::clamp(10 * excess, -1.0, 1.0));
  }
}

void WideSearch::offer(const std::vector<int32_t> &choice, Budget &budget) {
  if (model.cost(choice) == kForbidden)
    return;
  LocalSearch local(model, choice);
  if (local.repair()) {
    local.improve();
    outcome.offer(model, local.choice());
  }
  budget.spend(local.work());
}

void WideSearch::raiseBound(double work) {
  Budget budget{work};
  int sweeps = int(std::clamp(work / messages.work(), 2.0, double(kMaxSweeps)));
  for (int i = 0; i < sweeps && !outcome.closed(gap); ++i) {
    Unary unary = pricedCosts(model, prices);
    double bound = messages.sweep(unary) + model.constant - roomPrice(model, prices);
    budget.spend(messages.work());
    if (bound > bestBound)
      bestBound = bound, bestPrices = prices, bestState = messages.state();
    outcome.bound = std::max(outcome.bound, std::min(bound, outcome.cost));
    if (i == 0 && !prices.empty()) {
      startPrices(bound);
      continue;
    }
    std::vector<int32_t> choice = messages.decode(unary);
    if (!prices.empty())
      updatePrices(model.usage(choice), double(i) / sweeps);
    if ((i % 10 == 9 || i + 1 == sweeps) && !budget.over())
      offer(choice, budget);
    start = std::move(choice);
  }
}

void WideSearch::lowerCost(double work) {
  Budget budget{work};
  NeighbourhoodSearch search(model, bestPrices, outcome.found() ? outcome.choice : start, penalty(), seed);
  while (!budget.over() && !outcome.closed(gap))
    search.step(outcome, budget);
}

std::vector<std::vector<char>> WideSearch::survivors(size_t &removed) {
  messages.restore(bestState);
  std::vector<std::vector<char>> keep;
  Unary unary = pricedCosts(model, bestPrices);
  std::vector<double> costs;
  double slack = outcome.cost - bestBound + 1e-9 * std::abs(outcome.cost);
  for (size_t v = 0; v < model.variables.size(); ++v) {
    messages.moved(unary, int32_t(v), costs);
    double least = *std::min_element(costs.begin(), costs.end());
    keep.emplace_back(costs.size(), 1);
    for (size_t s = 0; s < costs.size(); ++s)
      if (costs[s] - least > slack && int32_t(s) != outcome.choice[v])
        keep.back()[s] = 0, ++removed;
  }
  return keep;
}

/// Rewrites a choice for the model that restricted() made of `keep`.
std::vector<int32_t> narrowed(const std::vector<int32_t> &choice, const std::vector<std::vector<char>> &keep) {
  std::vector<int32_t> result = choice;
  for (size_t v = 0; v < choice.size(); ++v)
    result[v] = int32_t(std::count(keep[v].begin(), keep[v].begin() + choice[v], 1));
  return result;
}

std::vector<int32_t> widened(const std::vector<int32_t> &choice, const std::vector<std::vector<char>> &keep) {
  std::vector<int32_t> result = choice;
  for (size_t v = 0; v < choice.size(); ++v) {
    int32_t s = -1;
    for (int32_t left = choice[v] + 1; left > 0;)
      left -= keep[v][size_t(++s)];
    result[v] = s;
  }
  return result;
}

Outcome search(const Model &model, Outcome start, Budget &budget, uint64_t seed, int rounds) {
  double work = budget.left / rounds;
  WideSearch wide(model, std::move(start), seed, budget.gap);
  wide.raiseBound(kBoundShare * work);
  wide.lowerCost(kSearchShare * work);
  budget.spend((kBoundShare + kSearchShare) * work);
  Outcome outcome = wide.outcome;
  if (!outcome.found() || outcome.closed(budget.gap) || rounds == 1)
    return outcome;
  size_t removed = 0;
  std::vector<std::vector<char>> keep = wide.survivors(removed);
  Model rest = restricted(model, keep);
  std::vector<int32_t> everything(rest.variables.size());
  for (size_t v = 0; v < everything.size(); ++v)
    everything[v] = int32_t(v);
  Outcome inner = outcome;
  inner.choice = narrowed(outcome.choice, keep);
  if (auto all = Elimination::plan(rest, everything, std::min(kExactWork, 0.3 * budget.left), kTableLimit))
    inner = searchExactly(rest, *all, budget, inner);
  else
    inner = search(rest, inner, budget, seed + 1, rounds - 1);
  outcome.choice = widened(inner.choice, keep);
  outcome.cost = inner.cost;
  // Plans with a strategy that was ruled out cost more than the best known one.
  outcome.bound = std::max(outcome.bound, std::min(inner.bound, outcome.cost));
  return outcome;
}

} // namespace

Outcome searchWidely(const Model &model, Budget &budget, uint64_t seed) {
  return search(model, {}, budget, seed, kRounds);
}

} // namespace mpopt::search
