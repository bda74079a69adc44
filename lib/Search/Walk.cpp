#include "Walk.h"

#include <algorithm>

namespace mpopt::search {

Walk::Walk(const Flat &flat, std::vector<int32_t> choice)
    : flat(flat), current(std::move(choice)), usage(flat.model.usage(current)), isChanged(current.size(), 0),
      steps(usage.size() + 1, 0) {
  now.cost = flat.model.constant;
  for (size_t v = 0; v < current.size(); ++v)
    now.cost += flat.model.variables[v].costs[size_t(current[v])];
  for (const Arc &arc : flat.model.arcs) {
    double cost = arc.at(current[size_t(arc.ends[0])], current[size_t(arc.ends[1])]);
    now.broken += cost == kForbidden;
    now.cost += cost == kForbidden ? 0 : cost;
  }
  for (size_t row = 0; row < usage.size(); ++row)
    now.excess += double(std::max<int64_t>(0, usage[row] - flat.model.room[row]));
}

void Walk::costChange(const std::vector<int32_t> &candidate, Merit &merit) {
  double before = 0, after = 0;
  for (int32_t v : changed) {
    const Variable &variable = flat.model.variables[size_t(v)];
    before += variable.costs[size_t(current[size_t(v)])];
    after += variable.costs[size_t(candidate[size_t(v)])];
    for (const Flat::Link &link : flat.links[size_t(v)]) {
      bool both = isChanged[size_t(link.other)];
      if (both && link.other < v)
        continue;
      size_t other = size_t(link.other);
      double old = flat.row(link, current[size_t(v)])[current[other]];
      double fresh = flat.row(link, candidate[size_t(v)])[both ? candidate[other] : current[other]];
      merit.broken += int(fresh == kForbidden) - int(old == kForbidden);
      before += old == kForbidden ? 0 : old;
      after += fresh == kForbidden ? 0 : fresh;
    }
    done += 4 * double(flat.links[size_t(v)].size()) + 4;
  }
  merit.cost += after - before;
}

void Walk::addUses(int32_t variable, int32_t strategy, int64_t sign) {
  for (const Use &use : flat.model.variables[size_t(variable)].uses) {
    int64_t amount = sign * use.usages[size_t(strategy)];
    steps[size_t(use.first)] += amount;
    steps[size_t(use.last)] -= amount;
    low = std::min(low, use.first), high = std::max(high, use.last);
  }
  done += 3 * double(flat.model.variables[size_t(variable)].uses.size());
}

void Walk::memoryChange(const std::vector<int32_t> &candidate, Merit &merit) {
  overfullRows.clear();
  low = int32_t(usage.size()), high = 0;
  for (int32_t v : changed) {
    addUses(v, current[size_t(v)], -1);
    addUses(v, candidate[size_t(v)], 1);
  }
  int64_t change = 0, before = 0, after = 0;
  for (int32_t row = low; row < high; ++row) {
    size_t r = size_t(row);
    change += steps[r];
    int64_t old = usage[r] - flat.model.room[r], fresh = old + change;
    before += std::max<int64_t>(0, old), after += std::max<int64_t>(0, fresh);
    if (fresh > 0)
      overfullRows.push_back(row);
  }
  done += 2 * double(std::max(0, high - low));
  merit.excess += double(after - before);
}

Merit Walk::measure(const std::vector<int32_t> &variables, const std::vector<int32_t> &candidate) {
  for (int32_t row = low; row <= high && size_t(row) < steps.size(); ++row)
    steps[size_t(row)] = 0;
  changed.clear();
  for (int32_t v : variables)
    if (candidate[size_t(v)] != current[size_t(v)])
      changed.push_back(v), isChanged[size_t(v)] = 1;
  measured = now;
  costChange(candidate, measured);
  memoryChange(candidate, measured);
  for (int32_t v : changed)
    isChanged[size_t(v)] = 0;
  return measured;
}

void Walk::accept(const std::vector<int32_t> &variables, const std::vector<int32_t> &candidate) {
  int64_t change = 0;
  for (int32_t row = low; row < high; ++row) {
    change += steps[size_t(row)];
    usage[size_t(row)] += change;
  }
  for (int32_t v : variables)
    current[size_t(v)] = candidate[size_t(v)];
  now = measured;
}

} // namespace mpopt::search
