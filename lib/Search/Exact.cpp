#include "LocalSearch.h"
#include "Neighbourhood.h"
#include "Prices.h"
#include "Routes.h"

#include <algorithm>
#include <cmath>
#include <queue>

namespace mpopt::search {

bool Outcome::closed(double gap) const {
  return found() && cost - bound <= std::max(gap, 1e-9) * std::max(std::abs(cost), std::abs(bound));
}

bool Outcome::offer(const Model &model, const std::vector<int32_t> &candidate) {
  if (!model.fits(candidate))
    return false;
  double value = model.cost(candidate);
  if (value >= cost)
    return false;
  cost = value;
  choice = candidate;
  return true;
}

namespace {

constexpr int kPriceSteps = 30, kRootIterations = 160, kBranchIterations = 24;
constexpr int kNeighbourhoods = 300;
constexpr double kNeighbourhoodShare = 0.3;
constexpr uint64_t kNeighbourhoodSeed = 1;
constexpr size_t kOpenLimit = 4000;

using Domains = std::vector<std::vector<char>>;

/// A part of the search space.
struct Branch {
  Domains allowed;
  Prices prices;
  double bound = -kForbidden;
  int64_t number = 0;
};

/// Lowest bound first; then the older.
struct Later {
  bool operator()(const Branch &a, const Branch &b) const {
    return a.bound != b.bound ? a.bound > b.bound : a.number > b.number;
  }
};

class ExactSearch {
public:
  ExactSearch(const Model &model, Elimination &all, Budget &budget, Outcome known)
      : model(model), all(all), budget(budget), outcome(std::move(known)) {
    for (const Variable &variable : model.variables)
      overhead += double(variable.costs.size() * (variable.uses.size() + 1));
    ceiling = costCeiling();
  }
  Outcome run();

private:
  /// One minimum at given prices.
  struct Point {
    double value = -kForbidden; ///< A bound for the branch; kForbidden when it is empty.
    std::vector<int32_t> choice;
    std::vector<double> excess; ///< Per row: usage less room.
    double worst = 0;           ///< Largest excess relative to the limit's scale.
  };

  double costCeiling() const;
  Point evaluate(const Branch &branch, const Prices &prices);
  void offer(const Point &point, bool repair);
  /// Raises the branch's bound over its prices; returns whether anything is
  /// left to split.
  bool raiseBound(Branch &branch, int iterations);
  void startPrices(Branch &branch, const Point &free);
  /// Whether a branch with this bound holds no better plan, or none at all.
  bool hopeless(double bound) const {
    return bound >= outcome.cost - std::max(1e-10, budget.gap) * std::abs(outcome.cost) || bound > ceiling;
  }
  /// So many iterations, or fewer where they would take over a quarter of the budget.
  int affordable(int iterations) const {
    return int(std::clamp(0.25 * budget.left / (all.work() + overhead), 4.0, double(iterations)));
  }
  void split(const Branch &branch);
  void cross();
  void searchNeighbourhoods(const Prices &prices);
  void push(Branch branch, size_t variable, const std::vector<char> &side);

  const Model &model;
  Elimination &all;
  Budget &budget;
  Outcome outcome;
  double overhead = 0;
  double ceiling = 0; ///< No allowed plan costs more.
  std::priority_queue<Branch, std::vector<Branch>, Later> open;
  int64_t created = 0;
  Point overfull, fitting; ///< Of each kind, the minimum with the highest bound.
  Domains seen;            ///< Strategies that minima of the current branch took.
};

double ExactSearch::costCeiling() const {
  double sum = std::abs(model.constant);
  auto addLargest = [&](const std::vector<double> &values) {
    double largest = 0;
    for (double value : values)
      if (value != kForbidden)
        largest = std::max(largest, std::abs(value));
    sum += largest;
  };
  for (const Variable &variable : model.variables)
    addLargest(variable.costs);
  for (const Arc &arc : model.arcs)
    addLargest(arc.table->values);
  return sum * (1 + 1e-9) + 1e-30;
}

ExactSearch::Point ExactSearch::evaluate(const Branch &branch, const Prices &prices) {
  budget.spend(all.work() + overhead);
  Unary unary = pricedCosts(model, prices);
  for (size_t v = 0; v < branch.allowed.size(); ++v)
    for (size_t s = 0; s < branch.allowed[v].size(); ++s)
      if (!branch.allowed[v][s])
        unary[v][s] = kForbidden;
  Point point;
  point.choice.assign(model.variables.size(), 0);
  double least = all.solve(unary, point.choice);
  point.value = least == kForbidden ? least : least + model.constant - roomPrice(model, prices);
  if (point.value == kForbidden)
    return point;
  std::vector<int64_t> used = model.usage(point.choice);
  point.excess.resize(used.size());
  for (size_t row = 0; row < used.size(); ++row) {
    point.excess[row] = double(used[row] - model.room[row]);
    point.worst = std::max(point.worst, point.excess[row]);
  }
  if (Point &kind = point.worst > 0 ? overfull : fitting; point.value > kind.value)
    kind = point;
  for (size_t v = 0; v < seen.size(); ++v)
    seen[v][size_t(point.choice[v])] = 1;
  return point;
}

void ExactSearch::offer(const Point &point, bool repair) {
  bool better = point.worst <= 0 && outcome.offer(model, point.choice);
  if (!better && !repair)
    return;
  LocalSearch local(model, point.choice);
  if (local.repair()) {
    local.improve();
    outcome.offer(model, local.choice());
  }
  budget.spend(local.work());
}

/// Finds the best price for the fullest row alone. The bound is concave in it, so the tangents on both sides of the best
/// price meet above it: there lies the next price to try.
void ExactSearch::startPrices(Branch &branch, const Point &free) {
  size_t row = size_t(std::max_element(free.excess.begin(), free.excess.end()) - free.excess.begin());
  struct Tangent {
    double price, value, slope;
    double crossing(const Tangent &other) const {
      return (other.value - value + slope * price - other.slope * other.price) / (slope - other.slope);
    }
  };
  Tangent low{0, free.value, free.excess[row]}, high{0, 0, 0};
  Prices prices = branch.prices, best = prices;
  double bestValue = free.value;
  double price = (std::abs(free.value) + 1e-12) / (double(model.room[row]) + free.excess[row]) / 16;
  for (int i = 0; i < kPriceSteps && !budget.over(); ++i) {
    prices[row] = price;
    Point point = evaluate(branch, prices);
    offer(point, i % 4 == 0);
    if (point.value > bestValue)
      bestValue = point.value, best = prices;
    (point.excess[row] > 0 ? low : high) = {price, point.value, point.excess[row]};
    if (hopeless(point.value) || point.excess[row] == 0)
      break;
    bool bracketed = high.price > 0;
    price = bracketed ? low.crossing(high) : 4 * price;
    double reachable = low.value + low.slope * (price - low.price);
    if (bracketed && reachable - bestValue <= 1e-7 * std::abs(bestValue))
      break;
  }
  branch.prices = best;
}

bool ExactSearch::raiseBound(Branch &branch, int iterations) {
  Prices prices = branch.prices;
  double theta = 1;
  int sinceBetter = 0;
  for (int i = 0; i < iterations; ++i) {
    Point point = evaluate(branch, prices);
    if (point.value == kForbidden)
      return branch.bound = kForbidden, false;
    offer(point, i % 8 == 0);
    if (point.value > branch.bound) {
      sinceBetter = point.value > branch.bound + 1e-6 * std::abs(point.value) ? 0 : sinceBetter + 1;
      branch.bound = point.value, branch.prices = prices;
    } else {
      ++sinceBetter;
    }
    if (hopeless(branch.bound) || budget.over())
      break;
    if (sinceBetter >= 5)
      theta /= 2, sinceBetter = 0, prices = branch.prices;
    if (theta < 0.02)
      break;
    double norm = 0;
    for (size_t row = 0; row < prices.size(); ++row)
      if (prices[row] > 0 || point.excess[row] > 0)
        norm += point.excess[row] * point.excess[row];
    if (norm == 0)
      break; // every priced row is exactly full: the minimum is a best plan of
             // the branch
    double target = outcome.found()
                        ? outcome.cost
                        : point.value + std::max(0.1 * std::abs(point.value), 0.05 * (ceiling - point.value));
    double step = theta * std::max(target - point.value, 1e-9 * std::abs(target)) / norm;
    for (size_t row = 0; row < prices.size(); ++row)
      prices[row] = std::max(0.0, prices[row] + step * point.excess[row]);
  }
  if (branch.bound > ceiling)
    branch.bound = kForbidden;
  return !hopeless(branch.bound);
}

void ExactSearch::push(Branch branch, size_t variable, const std::vector<char> &side) {
  bool any = false;
  for (size_t s = 0; s < side.size(); ++s)
    any |= branch.allowed[variable][s] &= side[s];
  if (!any)
    return;
  branch.number = created++;
  open.push(std::move(branch));
}

/// Splits a variable's strategies by their memory, between the lightest and the
/// heaviest that minima took: each half then rules out what the other half's
/// minimum did.
void ExactSearch::split(const Branch &branch) {
  std::vector<double> before = sumBefore(branch.prices);
  std::vector<double> rows = sumBefore(Prices(model.room.size(), 1.0));
  auto weight = [&](size_t v, size_t s) {
    double price = memoryPrice(model.variables[v], s, before);
    return price > 0 ? price : 1e-30 * memoryPrice(model.variables[v], s, rows);
  };
  size_t chosen = 0;
  double widest = -1, middle = 0;
  for (size_t v = 0; v < branch.allowed.size(); ++v) {
    double low = kForbidden, high = -kForbidden, seenCount = 0, count = 0;
    for (size_t s = 0; s < branch.allowed[v].size(); ++s) {
      count += branch.allowed[v][s];
      if (!branch.allowed[v][s] || !seen[v][s])
        continue;
      ++seenCount;
      low = std::min(low, weight(v, s)), high = std::max(high, weight(v, s));
    }
    if (count < 2)
      continue;
    double width = seenCount > 1 ? high - low : 0;
    if (width > widest)
      widest = width, chosen = v, middle = (low + high) / 2;
  }
  if (widest < 0)
    return; // one plan only, already offered
  std::vector<char> light(branch.allowed[chosen].size(), 0), heavy = light;
  for (size_t s = 0; s < light.size(); ++s)
    (weight(chosen, s) <= middle ? light : heavy)[s] = branch.allowed[chosen][s];
  bool separates = std::count(heavy.begin(), heavy.end(), 1) > 0 && std::count(light.begin(), light.end(), 1) > 0;
  if (!separates) { // memory does not tell them apart: one that was seen
                    // against the rest
    size_t pick = 0;
    for (size_t s = light.size(); s-- > 0;)
      if (branch.allowed[chosen][s] && (seen[chosen][s] || !pick))
        pick = s;
    light.assign(light.size(), 0), light[pick] = 1;
    heavy = branch.allowed[chosen], heavy[pick] = 0;
  }
  push(branch, chosen, light);
  push(branch, chosen, heavy);
}

/// At the best prices an overfull and a fitting minimum tie; the plan wanted lies between. Takes the one up to some variable
/// and the other from there on: where variables follow the graph's order, that costs no more than one change of layout.
void ExactSearch::cross() {
  if (overfull.choice.empty() || fitting.choice.empty())
    return;
  Outcome best;
  for (const auto &[first, second] :
       {std::pair(&overfull.choice, &fitting.choice), std::pair(&fitting.choice, &overfull.choice)}) {
    std::vector<int32_t> candidate = *second;
    for (size_t v = 0; v < candidate.size(); ++v) {
      candidate[v] = (*first)[v];
      if ((*first)[v] != (*second)[v])
        best.offer(model, candidate);
    }
  }
  double size = double(model.variables.size());
  budget.spend(2 * size * (size + double(model.room.size() + model.arcs.size())));
  if (!best.found())
    return;
  LocalSearch local(model, best.choice);
  local.improve();
  budget.spend(local.work());
  outcome.offer(model, local.choice());
}

/// A better plan makes the steps of the bound and the pruning better too.
void ExactSearch::searchNeighbourhoods(const Prices &prices) {
  cross();
  if (!outcome.found())
    return;
  Budget share{kNeighbourhoodShare * budget.left, budget.gap};
  budget.left -= share.left;
  NeighbourhoodSearch search(model, prices, outcome.choice, ceiling, kNeighbourhoodSeed);
  for (int step = 0; step < kNeighbourhoods && !share.over(); ++step)
    search.step(outcome, share);
  budget.left += share.left;
}

Outcome ExactSearch::run() {
  Branch root;
  for (const Variable &variable : model.variables)
    root.allowed.emplace_back(variable.costs.size(), 1);
  seen = root.allowed;
  root.prices.assign(model.room.size(), 0.0);
  Point free = evaluate(root, root.prices);
  if (free.value == kForbidden)
    return outcome.bound = kForbidden, outcome;
  root.bound = free.value;
  if (free.worst <= 0) {
    outcome.offer(model, free.choice);
    outcome.bound = outcome.cost;
    return outcome;
  }
  offer(free, true);
  startPrices(root, free);
  cross();
  for (auto &strategies : seen)
    strategies.assign(strategies.size(), 0);
  double settled = kForbidden; // least bound among branches that are not split further
  bool worthwhile = raiseBound(root, affordable(kRootIterations / 4));
  if (worthwhile) {
    searchNeighbourhoods(root.prices);
    worthwhile = raiseBound(root, affordable(kRootIterations));
  }
  if (worthwhile)
    split(root);
  else
    settled = root.bound;
  double rootBound = root.bound;
  while (!open.empty() && !budget.over() && open.size() < kOpenLimit) {
    Branch branch = open.top();
    open.pop();
    for (auto &strategies : seen)
      strategies.assign(strategies.size(), 0);
    if (hopeless(branch.bound) || !raiseBound(branch, kBranchIterations) || budget.over())
      settled = std::min(settled, branch.bound);
    else
      split(branch);
  }
  double bound = std::min(settled, outcome.cost);
  if (!open.empty())
    bound = std::min(bound, open.top().bound);
  outcome.bound = std::max(bound, std::min(rootBound, outcome.cost));
  return outcome;
}

} // namespace

Outcome searchExactly(const Model &model, Elimination &all, Budget &budget, Outcome known) {
  return ExactSearch(model, all, budget, std::move(known)).run();
}

} // namespace mpopt::search
