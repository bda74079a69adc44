#include "BallSearch.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

static constexpr int kTries = 4;
static constexpr double kBallWork = 2e7;
static constexpr int32_t kRowsPerBucket = 16;

BallSearch::BallSearch(const Flat &flat, const Prices &prices, std::vector<int32_t> start, uint64_t seed)
    : flat(flat), ball(flat), walk(flat, std::move(start)), prices(prices), random(seed), bestChoice(walk.choice()),
      bestMerit(walk.merit()), inside(flat.sizes.size(), 0), candidate(walk.choice()) {
  byRow.resize(prices.size() / size_t(kRowsPerBucket) + 1);
  double sum = 0;
  for (int32_t v = 0; v < int32_t(flat.sizes.size()); ++v) {
    sum += flat.size(v);
    ends.insert(ends.end(), flat.links[size_t(v)].size(), v);
    for (const Use &use : flat.model.variables[size_t(v)].uses)
      for (int32_t bucket = use.first / kRowsPerBucket; bucket <= (use.last - 1) / kRowsPerBucket; ++bucket)
        if (std::vector<int32_t> &list = byRow[size_t(bucket)]; list.empty() || list.back() != v)
          list.push_back(v);
  }
  meanTable = std::pow(sum / double(flat.sizes.size()), 2);
  double largest = 0;
  for (double price : prices)
    largest = std::max(largest, price);
  floorPrice = 1e-3 * largest + 1e-30;
}

int32_t BallSearch::hub() {
  return ends.empty() ? int32_t(below(flat.sizes.size())) : ends[size_t(below(ends.size()))];
}

/// A variable that shares a moment with this one in memory, if there is one.
int32_t BallSearch::sharer(int32_t variable) {
  const std::vector<Use> &uses = flat.model.variables[size_t(variable)].uses;
  if (uses.empty())
    return int32_t(below(flat.sizes.size()));
  const Use &use = uses[size_t(below(uses.size()))];
  int32_t row = use.first + int32_t(below(uint64_t(use.last - use.first)));
  const std::vector<int32_t> &list = byRow[size_t(row / kRowsPerBucket)];
  return list[size_t(below(list.size()))];
}

/// Breadth first from a variable. Hubs are left through a few of their arcs only, else they would fill every ball.
void BallSearch::collect(int32_t seed, size_t size) {
  size_t next = free.size(), leave = below(3) == 0 ? 1000000 : 4 + below(12);
  if (!inside[size_t(seed)])
    inside[size_t(seed)] = 1, free.push_back(seed);
  for (; next < free.size() && free.size() < size; ++next) {
    const std::vector<Flat::Link> &links = flat.links[size_t(free[next])];
    size_t count = links.size(), start = below(count + 1);
    for (size_t i = 0; i < std::min(count, leave) && free.size() < size; ++i) {
      size_t at = count <= leave ? (start + i) % count : below(count);
      int32_t other = links[at].other;
      if (!inside[size_t(other)])
        inside[size_t(other)] = 1, free.push_back(other);
    }
  }
}

void BallSearch::chooseFree() {
  free.clear();
  size_t most = flat.sizes.size(), size = std::min(most, size_t(8) << below(8));
  int32_t seed = below(3) == 0 ? hub() : int32_t(below(most));
  size_t seeds = below(3) == 0 ? 2 + below(3) : 1;
  for (size_t i = 1; i <= seeds; ++i) {
    collect(seed, size * i / seeds);
    seed = sharer(seed);
  }
  for (int32_t v : free)
    inside[size_t(v)] = 0;
  double table = meanTable * double(uint64_t(1) << below(7));
  ball.plan(free, {std::clamp(table, 256.0, 65536.0), kBallWork}, below(2) ? free.front() : -1, random);
}

/// Costs of the free variables with their arcs to held ones.
void BallSearch::heldCosts() {
  const std::vector<int32_t> &variables = ball.variables();
  double penalty = 1e3 * (1 + std::abs(walk.merit().cost));
  if (held.size() < variables.size())
    held.resize(variables.size()), memory.resize(variables.size()), unary.resize(variables.size());
  for (size_t i = 0; i < variables.size(); ++i) {
    int32_t v = variables[i];
    held[i] = flat.model.variables[size_t(v)].costs;
    for (const Flat::Link &link : flat.links[size_t(v)]) {
      if (ball.contains(link.other))
        continue;
      const double *row = link.back + int64_t(walk.choice()[size_t(link.other)]) * flat.padded(v);
      for (size_t s = 0; s < held[i].size(); ++s)
        held[i][s] += std::min(penalty, row[s]);
    }
  }
}

void BallSearch::priceMemory() {
  std::vector<double> before = sumBefore(local);
  const std::vector<int32_t> &variables = ball.variables();
  for (size_t i = 0; i < variables.size(); ++i) {
    const Variable &variable = flat.model.variables[size_t(variables[i])];
    memory[i].assign(variable.costs.size(), 0.0);
    for (const Use &use : variable.uses) {
      double price = before[size_t(use.last)] - before[size_t(use.first)];
      if (price > 0)
        for (size_t s = 0; s < memory[i].size(); ++s)
          memory[i][s] += price * double(use.usages[s]);
    }
  }
}

/// Minimises at the current prices; returns whether another try at higher prices is worthwhile.
bool BallSearch::attempt(double allowance) {
  const std::vector<int32_t> &variables = ball.variables();
  for (size_t i = 0; i < variables.size(); ++i) {
    unary[i] = held[i];
    double scale = factor * noise[i];
    for (size_t s = 0; s < unary[i].size(); ++s)
      unary[i][s] += scale * memory[i][s];
  }
  if (!ball.solve(unary, candidate)) {
    for (int32_t v : variables)
      candidate[size_t(v)] = walk.choice()[size_t(v)];
    return false;
  }
  Merit merit = walk.measure(variables, candidate), old = walk.merit();
  bool sameRules = merit.broken == old.broken && merit.excess <= old.excess;
  bool better = merit < old, good = better || (sameRules && merit.cost <= old.cost + allowance);
  bool again = merit.broken <= old.broken && merit.excess > old.excess;
  if (good) {
    walk.accept(variables, candidate);
    if (merit < bestMerit)
      bestMerit = merit, bestChoice = walk.choice();
    return false;
  }
  for (int32_t v : variables)
    candidate[size_t(v)] = walk.choice()[size_t(v)];
  return again;
}

void BallSearch::step(Meter &meter, double allowance) {
  ++steps;
  chooseFree();
  heldCosts();
  // Equal layers would all change sides at the same price; a little noise lets some of them go first.
  noise.assign(ball.variables().size(), 1.0);
  double spread = double(below(4)) / 10;
  for (double &value : noise)
    value += spread * (double(below(2001)) / 1000 - 1);
  static constexpr double kFactors[] = {0, 0.5, 0.8, 1, 1, 1.2, 2};
  factor = kFactors[below(std::size(kFactors))];
  local = prices;
  if (!walk.merit().allowed())
    factor = std::max(factor, 0.5);
  priceMemory();
  double work = 40 * double(free.size()) * 10 + 3 * double(prices.size());
  for (int tries = 0; tries < kTries; ++tries) {
    work += ball.work() / 4 + 2 * double(prices.size());
    if (!attempt(allowance))
      break;
    factor = std::max(factor, 0.5);
    for (int32_t row : walk.overfull())
      local[size_t(row)] = 1.6 * std::max(local[size_t(row)], floorPrice);
    priceMemory();
  }
  if (walk.merit().excess > 0 && steps % 8 == 0)
    raisePrices();
  meter.spend(work);
}

/// Until a plan fits, rows that stay overfull grow dearer.
void BallSearch::raisePrices() {
  for (size_t row = 0; row < prices.size(); ++row)
    if (walk.used()[row] > flat.model.room[row])
      prices[row] = std::max(1.1 * prices[row], floorPrice);
}

void BallSearch::run(Meter &meter, double until, double patience, double temperature) {
  double start = meter.now(), lastBetter = start;
  Merit last = bestMerit;
  while (!meter.past(until)) {
    double now = meter.now(), progress = (now - start) / std::max(1.0, until - start);
    double allowance = walk.merit().allowed() ? temperature * (1 - progress) * std::abs(bestMerit.cost) : 0;
    step(meter, allowance);
    if (bestMerit < last)
      last = bestMerit, lastBetter = now;
    if (now - lastBetter > patience)
      break;
  }
}

} // namespace mpopt::search
