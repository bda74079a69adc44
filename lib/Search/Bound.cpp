#include "Bound.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

BoundSearch::BoundSearch(const Flat &flat, const Prices &prices)
    : flat(flat), messages(flat), current(prices), bestPrices(flat.model.room.size(), 0.0) {
  for (int64_t room : flat.model.room)
    scale = std::max(scale, double(room));
}

/// Rows with slack must lose their price as fast as overfull ones gain. `tighten`: how much less room there is made out to
/// be, so that the plans that are read off come to fit.
void BoundSearch::updatePrices(const std::vector<int64_t> &used, double rate, double tighten) {
  for (size_t row = 0; row < current.size(); ++row) {
    double excess = (double(used[row] - flat.model.room[row]) + tighten * scale) / scale;
    current[row] *= std::exp(rate * std::clamp(10 * excess, -1.0, 1.0));
  }
}

void BoundSearch::offer(const std::vector<int32_t> &choice) {
  Merit merit = Walk(flat, choice).merit();
  if (found() && !(merit < bestMerit))
    return;
  bestChoice = choice, bestMerit = merit;
}

void BoundSearch::run(Meter &meter, double until, double enough, bool first) {
  const Model &model = flat.model;
  double start = meter.now(), tighten = 0, highest = first ? 0.4 : 0.1, lowest = first ? 0.02 : 0.005;
  for (int i = 0; i < 3 || !meter.past(until); ++i) {
    if (current.empty() && !model.room.empty())
      current.assign(model.room.size(), 0.0);
    flat.priced(current, unary);
    double bound = messages.sweep(unary) + model.constant - roomPrice(model, current);
    meter.spend(messages.work() + 4 * double(model.room.size()));
    if (bound > bestBound)
      bestBound = bound, bestPrices = current, bestState = messages.state();
    if (bestBound >= enough)
      return;
    bool unpriced = std::all_of(current.begin(), current.end(), [](double price) { return price == 0; });
    if (unpriced && !current.empty()) {
      double price = (std::abs(bound) + 1e-12) / (scale * double(current.size()));
      std::fill(current.begin(), current.end(), price);
      continue;
    }
    std::vector<int32_t> choice = messages.decode(unary);
    std::vector<int64_t> used = model.usage(choice);
    double progress = std::clamp((meter.now() - start) / std::max(1.0, until - start), 0.0, 1.0);
    bool late = progress > 0.6;
    if (late || i % 8 == 0)
      offer(choice);
    bool fits = true;
    for (size_t row = 0; row < used.size() && fits; ++row)
      fits = used[row] <= model.room[row];
    tighten = late ? std::clamp(tighten + (fits ? -0.004 : 0.003), 0.0, 0.08) : 0;
    updatePrices(used, highest * std::pow(lowest / highest, progress), tighten);
  }
}

std::vector<std::vector<char>> BoundSearch::survivors(double cost, size_t &removed) {
  messages.restore(bestState);
  std::vector<std::vector<char>> keep;
  flat.priced(bestPrices, unary);
  std::vector<double> costs;
  double slack = cost - bestBound + 1e-9 * std::abs(cost);
  for (size_t v = 0; v < flat.sizes.size(); ++v) {
    messages.moved(unary, int32_t(v), costs);
    double least = *std::min_element(costs.begin(), costs.end());
    keep.emplace_back(size_t(flat.sizes[v]), 1);
    for (size_t s = 0; s < keep.back().size(); ++s)
      if (costs[s] - least > slack)
        keep.back()[s] = 0, ++removed;
  }
  return keep;
}

bool isIntegral(const Model &model) {
  auto integral = [](double value) {
    return value == kForbidden || (value == std::trunc(value) && std::abs(value) < 0x1p53);
  };
  if (!integral(model.constant))
    return false;
  for (const Variable &variable : model.variables)
    if (!std::all_of(variable.costs.begin(), variable.costs.end(), integral))
      return false;
  return std::all_of(model.arcs.begin(), model.arcs.end(), [&](const Arc &arc) {
    return std::all_of(arc.table->values.begin(), arc.table->values.end(), integral);
  });
}

namespace {

constexpr int kFractionBits = 40;
constexpr BoundSearch::Fixed kNone = BoundSearch::Fixed(1) << 120;

BoundSearch::Fixed toFixed(double value) {
  return value == kForbidden ? kNone : static_cast<BoundSearch::Fixed>(std::ldexp(value, kFractionBits));
}

} // namespace

/// The least cost of a pair that is left in an arc.
BoundSearch::Fixed BoundSearch::leastLeft(int32_t variable, size_t at) const {
  const Flat::Link &link = flat.links[size_t(variable)][at];
  const double *own = messages.message(bestState, variable, at),
               *other = messages.message(bestState, link.other, size_t(link.reverse));
  std::vector<Fixed> moved;
  for (int32_t t = 0; t < flat.size(link.other); ++t)
    moved.push_back(toFixed(other[t]));
  Fixed least = kNone;
  for (int32_t s = 0; s < flat.size(variable); ++s) {
    const double *row = flat.row(link, s);
    for (size_t t = 0; t < moved.size() && own[s] != kForbidden; ++t)
      if (row[t] != kForbidden && other[t] != kForbidden)
        least = std::min(least, toFixed(row[t]) - toFixed(own[s]) - moved[t]);
  }
  return least;
}

double BoundSearch::certified() const {
  const Model &model = flat.model;
  std::vector<Fixed> before(model.room.size() + 1, 0);
  Fixed total = toFixed(model.constant);
  for (size_t row = 0; row < model.room.size(); ++row) {
    Fixed price = toFixed(bestPrices[row]);
    before[row + 1] = before[row] + price;
    total -= price * model.room[row];
  }
  std::vector<Fixed> costs;
  for (size_t v = 0; v < model.variables.size(); ++v) {
    const Variable &variable = model.variables[v];
    costs.clear();
    for (double cost : variable.costs)
      costs.push_back(toFixed(cost));
    for (const Use &use : variable.uses)
      for (size_t s = 0; s < costs.size(); ++s)
        costs[s] += (before[size_t(use.last)] - before[size_t(use.first)]) * use.usages[s];
    for (size_t j = 0; j < flat.links[v].size(); ++j) {
      const double *message = messages.message(bestState, int32_t(v), j);
      for (size_t s = 0; s < costs.size(); ++s)
        costs[s] = message[s] == kForbidden || costs[s] == kNone ? kNone : costs[s] + toFixed(message[s]);
    }
    total += *std::min_element(costs.begin(), costs.end());
  }
  for (int32_t v = 0; v < int32_t(model.variables.size()); ++v)
    for (size_t j = 0; j < flat.links[size_t(v)].size(); ++j)
      if (flat.links[size_t(v)][j].other > v)
        total += leastLeft(v, j);
  Fixed one = Fixed(1) << kFractionBits;
  Fixed whole = total / one;
  return double(int64_t(whole + (whole * one < total))); // rounded up: the best cost is an integer
}

} // namespace mpopt::search
