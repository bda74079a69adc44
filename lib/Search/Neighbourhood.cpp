#include "Neighbourhood.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

/// Limits of one neighbourhood's elimination.
static constexpr double kStepWork = 3e7, kStepTable = 1 << 21;
static constexpr int kPriceTries = 8;

NeighbourhoodSearch::NeighbourhoodSearch(const Model &model, const Prices &prices, std::vector<int32_t> start,
                                         double penalty, uint64_t seed)
    : model(model), prices(prices), current(std::move(start)), penalty(penalty), random(seed) {
  currentMerit = merit(current);
}

double NeighbourhoodSearch::merit(const std::vector<int32_t> &choice) const {
  double sum = model.constant;
  for (size_t v = 0; v < choice.size(); ++v)
    sum += model.variables[v].costs[size_t(choice[v])];
  for (const Arc &arc : model.arcs)
    sum += std::min(penalty, arc.at(choice[size_t(arc.ends[0])], choice[size_t(arc.ends[1])]));
  std::vector<int64_t> used = model.usage(choice);
  for (size_t row = 0; row < used.size(); ++row)
    if (used[row] > model.room[row])
      sum += penalty * double(used[row] - model.room[row]) / (1.0 + double(model.room[row]));
  return sum;
}

/// Breadth first from a random variable.
std::vector<int32_t> NeighbourhoodSearch::ball(size_t size) {
  std::vector<char> inside(current.size(), 0);
  std::vector<int32_t> result = {int32_t(below(current.size()))};
  inside[size_t(result[0])] = 1;
  for (size_t next = 0; next < result.size() && result.size() < size; ++next) {
    std::vector<int32_t> arcs = model.variables[size_t(result[next])].arcs;
    for (size_t i = arcs.size(); i > 1; --i)
      std::swap(arcs[i - 1], arcs[below(i)]);
    for (int32_t index : arcs) {
      const Arc &arc = model.arcs[size_t(index)];
      int32_t other = arc.ends[1 - model.side(arc, result[next])];
      if (inside[size_t(other)] || result.size() >= size)
        continue;
      inside[size_t(other)] = 1;
      result.push_back(other);
    }
  }
  return result;
}

/// Priced costs of the free variables, with their arcs to held ones.
Unary NeighbourhoodSearch::heldCosts(const std::vector<int32_t> &free, const std::vector<double> &factors) const {
  std::vector<char> isFree(current.size(), 0);
  for (int32_t variable : free)
    isFree[size_t(variable)] = 1;
  std::vector<double> before = sumBefore(prices);
  Unary unary(current.size());
  for (size_t i = 0; i < free.size(); ++i) {
    int32_t v = free[i];
    const Variable &variable = model.variables[size_t(v)];
    std::vector<double> &costs = unary[size_t(v)] = variable.costs;
    for (size_t s = 0; s < costs.size(); ++s)
      costs[s] += factors[i] * memoryPrice(variable, s, before);
    for (int32_t index : variable.arcs) {
      const Arc &arc = model.arcs[size_t(index)];
      int side = model.side(arc, v);
      int32_t other = arc.ends[1 - side];
      if (!isFree[size_t(other)])
        for (size_t s = 0; s < costs.size(); ++s)
          costs[s] += std::min(penalty, arc.from(side, int32_t(s), current[size_t(other)]));
    }
  }
  return unary;
}

/// Until a plan fits, rows that stay overfull grow dearer.
void NeighbourhoodSearch::raisePrices(const std::vector<int32_t> &choice) {
  std::vector<int64_t> used = model.usage(choice);
  double largest = *std::max_element(prices.begin(), prices.end());
  for (size_t row = 0; row < used.size(); ++row)
    if (used[row] > model.room[row])
      prices[row] = std::max(1.05 * prices[row], 1e-3 * largest);
}

/// Minimises over a neighbourhood at a price factor per variable; takes the result over if it is no worse. Returns whether it fits.
bool NeighbourhoodSearch::tryFactor(Elimination &elimination, const std::vector<int32_t> &free,
                                    const std::vector<double> &factors, Outcome &outcome) {
  std::vector<int32_t> candidate = current;
  if (elimination.solve(heldCosts(free, factors), candidate) == kForbidden)
    return true;
  bool fits = model.fits(candidate);
  if (!outcome.found() && !fits)
    raisePrices(candidate);
  double value = merit(candidate);
  if (value <= currentMerit) {
    current = std::move(candidate);
    currentMerit = value;
    outcome.offer(model, current);
  }
  return fits;
}

void NeighbourhoodSearch::step(Outcome &outcome, Budget &budget) {
  std::vector<int32_t> free = ball(size_t(8) << below(7));
  double workLimit = std::min(kStepWork, budget.left / 100);
  std::optional<Elimination> elimination = Elimination::plan(model, free, workLimit, kStepTable);
  while (!elimination && free.size() > 2) {
    budget.spend(double(free.size()) * 2000);
    free.resize(free.size() / 2);
    elimination = Elimination::plan(model, free, workLimit, kStepTable);
  }
  if (!elimination)
    return void(budget.spend(1e4));
  double tryWork =
      2 * elimination->work() + 40 * double(model.variables.size() + model.arcs.size() + model.room.size());
  budget.spend(4000 * double(free.size()));
  // Equal layers would all change sides at the same price; a little noise lets some of them go first.
  std::vector<double> noise(free.size(), 1.0), factors = noise;
  double spread = double(below(4)) / 10;
  for (double &value : noise)
    value += spread * (double(below(2001)) / 1000 - 1);
  // The memory that the held variables leave decides which prices suit the neighbourhood: search for them by bisection.
  double low = 0, high = 0, factor = 0.5 + double(below(100)) / 100;
  for (int tries = model.room.empty() ? 1 : kPriceTries; tries > 0; --tries) {
    budget.spend(tryWork);
    for (size_t i = 0; i < free.size(); ++i)
      factors[i] = factor * noise[i];
    (tryFactor(*elimination, free, factors, outcome) ? high : low) = factor;
    factor = high > 0 ? (low + high) / 2 : 2 * factor;
  }
}

} // namespace mpopt::search
