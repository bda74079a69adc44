#include "LocalSearch.h"

namespace mpopt::search {

LocalSearch::LocalSearch(const Model &model, std::vector<int32_t> choice)
    : model(model), current(std::move(choice)), used(model.usage(current)) {}

bool LocalSearch::fits() const {
  for (size_t row = 0; row < used.size(); ++row)
    if (used[row] > model.room[row])
      return false;
  return true;
}

void LocalSearch::addUse(int32_t variable, int64_t sign) {
  for (const Use &use : model.variables[size_t(variable)].uses) {
    int64_t amount = sign * use.usages[size_t(current[size_t(variable)])];
    for (int32_t row = use.first; row < use.last; ++row)
      used[size_t(row)] += amount;
    done += use.last - use.first;
  }
}

void LocalSearch::change(int32_t variable, int32_t strategy) {
  addUse(variable, -1);
  current[size_t(variable)] = strategy;
  addUse(variable, 1);
}

void LocalSearch::conditionalCosts(int32_t variable, std::vector<double> &costs) {
  const Variable &entry = model.variables[size_t(variable)];
  costs = entry.costs;
  for (int32_t index : entry.arcs) {
    const Arc &arc = model.arcs[size_t(index)];
    int side = model.side(arc, variable);
    int32_t other = current[size_t(arc.ends[1 - side])];
    for (size_t s = 0; s < costs.size(); ++s)
      costs[s] += arc.from(side, int32_t(s), other);
  }
  done += double(costs.size() * (entry.arcs.size() + 1));
}

bool LocalSearch::fitsWith(int32_t variable, int32_t strategy) {
  int32_t old = current[size_t(variable)];
  change(variable, strategy);
  bool good = true;
  for (const Use &use : model.variables[size_t(variable)].uses)
    for (int32_t row = use.first; row < use.last && good; ++row)
      good = used[size_t(row)] <= model.room[size_t(row)];
  change(variable, old);
  return good;
}

/// The change of one strategy that costs least per byte it takes off the
/// overfull rows.
LocalSearch::Move LocalSearch::cheapestRelief() {
  std::vector<int64_t> overfullBefore(used.size() + 1);
  for (size_t row = 0; row < used.size(); ++row)
    overfullBefore[row + 1] = overfullBefore[row] + (used[row] > model.room[row]);
  Move best;
  std::vector<double> costs;
  for (size_t v = 0; v < current.size(); ++v) {
    const Variable &variable = model.variables[v];
    size_t now = size_t(current[v]);
    bool touches = false;
    for (const Use &use : variable.uses)
      touches |= overfullBefore[size_t(use.last)] > overfullBefore[size_t(use.first)];
    if (!touches)
      continue;
    conditionalCosts(int32_t(v), costs);
    for (size_t s = 0; s < costs.size(); ++s) {
      double relief = 0;
      for (const Use &use : variable.uses)
        relief += double(use.usages[now] - use.usages[s]) *
                  double(overfullBefore[size_t(use.last)] - overfullBefore[size_t(use.first)]);
      if (relief <= 0 || costs[s] == kForbidden)
        continue;
      double rise = costs[s] - costs[now], score = rise > 0 ? rise / relief : rise * relief;
      if (score < best.score)
        best = {int32_t(v), int32_t(s), score};
    }
    done += double(costs.size() * variable.uses.size());
  }
  return best;
}

bool LocalSearch::repair() {
  for (size_t moves = 0; !fits(); ++moves) {
    Move move = cheapestRelief();
    if (move.variable < 0 || moves > 4 * current.size() + 8)
      return false;
    change(move.variable, move.strategy);
  }
  return true;
}

void LocalSearch::improve() {
  std::vector<double> costs;
  bool changed = true;
  for (int round = 0; changed && round < 20; ++round) {
    changed = false;
    for (size_t v = 0; v < current.size(); ++v) {
      conditionalCosts(int32_t(v), costs);
      int32_t best = current[v];
      for (size_t s = 0; s < costs.size(); ++s)
        if (costs[s] < costs[size_t(best)] && fitsWith(int32_t(v), int32_t(s)))
          best = int32_t(s);
      if (best != current[v])
        change(int32_t(v), best), changed = true;
    }
  }
}

} // namespace mpopt::search
