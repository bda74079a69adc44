#include "Kernels.h"
#include "Reduce.h"

#include <algorithm>

namespace mpopt::search {

/// Dominance between the classes of a table costs rows^2 * cols: the most for
/// one table, and for all.
static constexpr double kDominanceWork = 4e6, kDominanceTotal = 4e9;

bool Reducer::lessUse(const Work &entry, size_t a, size_t b) const {
  return std::all_of(entry.uses.begin(), entry.uses.end(),
                     [&](const TimedUse &use) { return use.usages[a] <= use.usages[b]; });
}

bool Reducer::isGrouped(int32_t node) const { return !groups.empty() && !groups[size_t(node)].empty(); }

bool Reducer::sameGroup(int32_t variable, size_t a, size_t b) const {
  if (!isGrouped(variable))
    return true;
  const std::vector<int32_t> &strategies = work[size_t(variable)].strategies, &group = groups[size_t(variable)];
  return group[size_t(strategies[a])] == group[size_t(strategies[b])];
}

/// Among strategies that no arc tells apart, only those on the frontier of cost
/// and memory are of use.
bool Reducer::removeEqualClasses(int32_t variable) {
  Work &entry = work[size_t(variable)];
  std::shared_ptr<const ClassMap> joint = std::make_shared<ClassMap>(entry.costs.size(), 0);
  int32_t size = int32_t(entry.costs.size());
  for (int32_t arc : entry.arcs) {
    joint = refine(joint, arcs[size_t(arc)].classes[sideOf(arc, variable)]);
    if (countClasses(*joint) == size)
      return false;
  }
  std::vector<std::vector<size_t>> members(size_t(countClasses(*joint)));
  for (size_t s = 0; s < joint->size(); ++s)
    members[size_t((*joint)[s])].push_back(s);
  std::vector<char> mask(entry.costs.size(), 1);
  bool changed = false;
  for (std::vector<size_t> &group : members) {
    std::sort(group.begin(), group.end(), [&](size_t a, size_t b) {
      return entry.costs[a] != entry.costs[b] ? entry.costs[a] < entry.costs[b] : a < b;
    });
    for (size_t j = 1; j < group.size(); ++j)
      for (size_t i = 0; i < j && mask[group[j]]; ++i)
        if (mask[group[i]] && sameGroup(variable, group[i], group[j]) && lessUse(entry, group[i], group[j]))
          mask[group[j]] = 0, changed = true;
  }
  if (changed)
    keep(variable, mask);
  return changed;
}

/// For classes a, b of one side: the most by which a can cost more than b,
/// whatever the other side chooses. Null where that takes too much work.
const std::vector<double> *Reducer::differences(const Arc &arc, int side) {
  const Table &table = *arc.table;
  if (auto known = differenceCache.find({&table, side}); known != differenceCache.end())
    return &known->second;
  int32_t own = side == 0 ? table.rows : table.cols, others = side == 0 ? table.cols : table.rows;
  double cost = double(own) * own * others;
  if (cost > kDominanceWork || dominanceWork + cost > kDominanceTotal)
    return nullptr;
  dominanceWork += cost;
  std::vector<double> most(size_t(own) * size_t(own), -kForbidden), line(static_cast<size_t>(own));
  for (int32_t c = 0; c < others; ++c) {
    for (int32_t b = 0; b < own; ++b)
      line[size_t(b)] = side == 0 ? table.at(b, c) : table.at(c, b);
    for (int32_t a = 0; a < own; ++a)
      maxDifference(most.data() + size_t(a) * size_t(own), line[size_t(a)], line.data(), own);
  }
  return &(differenceCache[{&table, side}] = std::move(most));
}

bool Reducer::removeDominated(int32_t variable) {
  Work &entry = work[size_t(variable)];
  size_t size = entry.costs.size();
  std::vector<double> worse(size * size);
  for (size_t a = 0; a < size; ++a)
    for (size_t b = 0; b < size; ++b)
      worse[a * size + b] = entry.costs[a] - entry.costs[b];
  for (int32_t index : entry.arcs) {
    const Arc &arc = arcs[size_t(index)];
    int side = sideOf(index, variable);
    const std::vector<double> *most = differences(arc, side);
    if (!most)
      return false;
    size_t own = size_t(side == 0 ? arc.table->rows : arc.table->cols);
    const ClassMap &classes = *arc.classes[side];
    for (size_t a = 0; a < size; ++a) {
      const double *row = most->data() + size_t(classes[a]) * own;
      for (size_t b = 0; b < size; ++b)
        worse[a * size + b] += row[classes[b]];
    }
  }
  std::vector<char> mask(size, 1);
  bool changed = false;
  for (size_t b = 0; b < size; ++b)
    for (size_t a = 0; a < size && mask[b]; ++a)
      if (a != b && mask[a] && worse[a * size + b] <= 0 && sameGroup(variable, a, b) && lessUse(entry, a, b))
        mask[b] = 0, changed = true;
  if (changed)
    keep(variable, mask);
  return changed;
}

} // namespace mpopt::search
