#include "Reduce.h"
#include "Kernels.h"
#include "Routes.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

/// Dominance between the classes of a table costs rows^2 * cols: the most for
/// one table, and for all.
static constexpr double kDominanceWork = 4e6, kDominanceTotal = 1e9;

void Reducer::addNodes() {
  for (const Node &node : problem.nodes) {
    Work entry;
    entry.costs = node.costs;
    entry.strategies.resize(node.costs.size());
    for (size_t s = 0; s < node.costs.size(); ++s)
      entry.strategies[s] = int32_t(s);
    std::map<std::pair<int64_t, int64_t>, size_t> known;
    for (const UsageComponent &component : node.usages) {
      if (component.interval.empty() || !problem.usageLimit)
        continue;
      auto [at, fresh] = known.try_emplace({component.interval.first, component.interval.last}, entry.uses.size());
      if (fresh)
        entry.uses.push_back({component.interval, std::vector<int64_t>(node.costs.size())});
      for (size_t s = 0; s < node.costs.size(); ++s)
        entry.uses[at->second].usages[s] += component.usages[s];
    }
    work.push_back(std::move(entry));
  }
}

void Reducer::addArcs() {
  std::map<std::pair<int32_t, int32_t>, std::vector<TableCache::Term>> pairs;
  for (const Edge &edge : problem.edges)
    pairs[{std::min(edge.from, edge.to), std::max(edge.from, edge.to)}].push_back({edge.matrix, edge.from > edge.to});
  for (auto &[ends, terms] : pairs) {
    std::sort(terms.begin(), terms.end());
    const Compressed &sum = cache.sum(terms);
    int32_t index = int32_t(arcs.size());
    arcs.push_back({{ends.first, ends.second}, {sum.classes[0], sum.classes[1]}, sum.table});
    work[size_t(ends.first)].arcs.push_back(index);
    work[size_t(ends.second)].arcs.push_back(index);
  }
  live.assign(arcs.size(), 1);
}

void Reducer::drop(int32_t arc) {
  live[size_t(arc)] = 0;
  for (int32_t end : arcs[size_t(arc)].ends)
    std::erase(work[size_t(end)].arcs, arc);
}

template <typename T> static void filter(std::vector<T> &values, const std::vector<char> &mask) {
  size_t next = 0;
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask[i])
      values[next++] = values[i];
  values.resize(next);
}

void Reducer::keep(int32_t variable, const std::vector<char> &mask) {
  Work &entry = work[size_t(variable)];
  filter(entry.strategies, mask);
  filter(entry.costs, mask);
  for (TimedUse &use : entry.uses)
    filter(use.usages, mask);
  for (int32_t index : entry.arcs) {
    Arc &arc = arcs[size_t(index)];
    int side = arc.ends[0] == variable ? 0 : 1;
    auto classes = std::make_shared<ClassMap>(*arc.classes[side]);
    filter(*classes, mask);
    arc.classes[side] = classes;
  }
  if (entry.strategies.empty() && !failure)
    failure = Error{"no allowed combination of strategies exists: node '" + problem.nodes[size_t(variable)].name +
                    "' is left without one; allow more strategies for it or "
                    "its neighbours"};
}

/// Per class of `side`, whether it has a finite cost with some strategy that is
/// left on the other side.
static std::vector<char> supported(const Arc &arc, int side) {
  const Table &table = *arc.table;
  int32_t own = side == 0 ? table.rows : table.cols, others = side == 0 ? table.cols : table.rows;
  std::vector<char> present(size_t(others), 0), result(size_t(own), 0);
  for (int32_t other : *arc.classes[1 - side])
    present[size_t(other)] = 1;
  for (int32_t a = 0; a < own; ++a)
    for (int32_t b = 0; b < others && !result[size_t(a)]; ++b)
      result[size_t(a)] = present[size_t(b)] && (side == 0 ? table.at(a, b) : table.at(b, a)) != kForbidden;
  return result;
}

bool Reducer::removeForbidden() {
  bool changed = false;
  std::vector<int32_t> queue;
  std::vector<char> queued(work.size(), 1);
  for (int32_t i = int32_t(work.size()); i-- > 0;)
    queue.push_back(i);
  while (!queue.empty() && !failure) {
    int32_t variable = queue.back();
    queue.pop_back();
    queued[size_t(variable)] = 0;
    Work &entry = work[size_t(variable)];
    std::vector<char> mask(entry.costs.size());
    for (size_t s = 0; s < mask.size(); ++s)
      mask[s] = entry.costs[s] != kForbidden;
    for (int32_t index : entry.arcs) {
      const Arc &arc = arcs[size_t(index)];
      int side = arc.ends[0] == variable ? 0 : 1;
      std::vector<char> support = supported(arc, side);
      for (size_t s = 0; s < mask.size(); ++s)
        mask[s] &= support[size_t((*arc.classes[side])[s])];
    }
    if (std::all_of(mask.begin(), mask.end(), [](char m) { return m; }))
      continue;
    changed = true;
    keep(variable, mask);
    for (int32_t index : entry.arcs) {
      int32_t other = arcs[size_t(index)].ends[arcs[size_t(index)].ends[0] == variable ? 1 : 0];
      if (!queued[size_t(other)])
        queued[size_t(other)] = 1, queue.push_back(other);
    }
  }
  return changed;
}

static bool separable(const Table &table) {
  double scale = 0;
  for (double value : table.values) {
    if (value == kForbidden)
      return false;
    scale = std::max(scale, std::abs(value));
  }
  for (int32_t row = 0; row < table.rows; ++row)
    for (int32_t col = 0; col < table.cols; ++col)
      if (std::abs(table.at(row, col) - table.at(row, 0) - table.at(0, col) + table.at(0, 0)) > 1e-14 * scale)
        return false;
  return true;
}

bool Reducer::dropSeparableArcs() {
  bool changed = false;
  std::map<const Table *, bool> known;
  for (size_t i = 0; i < arcs.size(); ++i) {
    if (!live[i])
      continue;
    const Arc &arc = arcs[i];
    auto [entry, fresh] = known.try_emplace(arc.table.get(), false);
    if (fresh)
      entry->second = separable(*arc.table);
    if (!entry->second)
      continue;
    for (int side : {0, 1}) {
      Work &end = work[size_t(arc.ends[side])];
      for (size_t s = 0; s < end.costs.size(); ++s)
        end.costs[s] += side == 0 ? arc.table->at((*arc.classes[0])[s], 0)
                                  : arc.table->at(0, (*arc.classes[1])[s]) - arc.table->at(0, 0);
    }
    drop(int32_t(i));
    changed = true;
  }
  return changed;
}

bool Reducer::lessUse(const Work &entry, size_t a, size_t b) const {
  return std::all_of(entry.uses.begin(), entry.uses.end(),
                     [&](const TimedUse &use) { return use.usages[a] <= use.usages[b]; });
}

/// Among strategies that no arc tells apart, only those on the frontier of cost
/// and memory are of use.
bool Reducer::removeEqualClasses(int32_t variable) {
  Work &entry = work[size_t(variable)];
  std::shared_ptr<const ClassMap> joint = std::make_shared<ClassMap>(entry.costs.size(), 0);
  for (int32_t arc : entry.arcs)
    joint = refine(joint, arcs[size_t(arc)].classes[arcs[size_t(arc)].ends[0] == variable ? 0 : 1]);
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
        if (mask[group[i]] && lessUse(entry, group[i], group[j]))
          mask[group[j]] = 0, changed = true;
  }
  if (changed)
    keep(variable, mask);
  return changed;
}

/// For classes a, b of one side: the most by which a can cost more than b,
/// whatever the other side chooses.
const std::vector<double> &Reducer::differences(const Arc &arc, int side) {
  auto [entry, fresh] = differenceCache.try_emplace({arc.table.get(), side});
  if (!fresh)
    return entry->second;
  const Table &table = *arc.table;
  int32_t own = side == 0 ? table.rows : table.cols, others = side == 0 ? table.cols : table.rows;
  // Per choice of the other side a row of what the classes cost.
  std::vector<double> transposed;
  if (side == 0)
    for (int32_t c = 0; c < others; ++c)
      for (int32_t a = 0; a < own; ++a)
        transposed.push_back(table.at(a, c));
  const double *costs = side == 0 ? transposed.data() : table.values.data();
  std::vector<double> most(size_t(own) * size_t(own), -kForbidden);
  for (int32_t a = 0; a < own; ++a)
    for (int32_t c = 0; c < others; ++c) { // where b is forbidden, a cannot be worse
      const double *row = costs + size_t(c) * size_t(own);
      maxDifference(most.data() + size_t(a) * size_t(own), row[a], row, own);
    }
  return entry->second = std::move(most);
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
    int side = arc.ends[0] == variable ? 0 : 1;
    double own = side == 0 ? arc.table->rows : arc.table->cols, others = side == 0 ? arc.table->cols : arc.table->rows;
    double cost = differenceCache.contains({arc.table.get(), side}) ? 0 : own * own * others;
    if (cost > kDominanceWork || dominanceWork + cost > kDominanceTotal)
      return false;
    dominanceWork += cost;
    const std::vector<double> &most = differences(arc, side);
    const ClassMap &classes = *arc.classes[side];
    for (size_t a = 0; a < size; ++a)
      for (size_t b = 0; b < size; ++b)
        worse[a * size + b] += most[size_t(classes[a]) * size_t(own) + size_t(classes[b])];
  }
  std::vector<char> mask(size, 1);
  bool changed = false;
  for (size_t b = 0; b < size; ++b)
    for (size_t a = 0; a < size && mask[b]; ++a)
      if (a != b && mask[a] && worse[a * size + b] <= 0 && lessUse(entry, a, b))
        mask[b] = 0, changed = true;
  if (changed)
    keep(variable, mask);
  return changed;
}

bool Reducer::decideSingles() {
  bool changed = false;
  for (size_t i = 0; i < work.size(); ++i) {
    Work &entry = work[i];
    if (entry.decided || entry.strategies.size() != 1)
      continue;
    entry.decided = changed = true;
    constant += entry.costs[0];
    for (TimedUse &use : entry.uses)
      decidedUses.push_back(std::move(use));
    entry.uses.clear();
    for (int32_t index : std::vector<int32_t>(entry.arcs)) {
      const Arc &arc = arcs[size_t(index)];
      int side = arc.ends[0] == int32_t(i) ? 0 : 1;
      Work &other = work[size_t(arc.ends[1 - side])];
      for (size_t s = 0; s < other.costs.size(); ++s)
        other.costs[s] += arc.from(side, 0, int32_t(s));
      drop(index);
    }
  }
  return changed;
}

Result<Model> Reducer::run() {
  addNodes();
  addArcs();
  // Each reduction makes room for the others; in practice two or three rounds
  // reach the end.
  for (bool changed = true; changed && !failure;) {
    changed = removeForbidden();
    changed |= !failure && dropSeparableArcs();
    for (size_t i = 0; i < work.size() && !failure; ++i)
      if (!work[i].decided && work[i].costs.size() > 1) {
        changed |= removeEqualClasses(int32_t(i));
        changed |= removeDominated(int32_t(i));
      }
    changed |= !failure && decideSingles();
  }
  if (failure)
    return tl::unexpected<Error>(*failure);
  Model model;
  model.constant = constant;
  model.decided.assign(work.size(), -1);
  std::vector<int32_t> numbers(work.size(), -1);
  for (size_t i = 0; i < work.size(); ++i) {
    if (work[i].decided) {
      model.decided[i] = work[i].strategies[0];
      continue;
    }
    numbers[i] = int32_t(model.variables.size());
    model.variables.push_back({int32_t(i), work[i].strategies, work[i].costs, {}, {}});
  }
  for (size_t i = 0; i < arcs.size(); ++i) {
    if (!live[i])
      continue;
    Arc arc = arcs[i];
    for (int32_t &end : arc.ends) {
      end = numbers[size_t(end)];
      model.variables[size_t(end)].arcs.push_back(int32_t(model.arcs.size()));
    }
    model.arcs.push_back(std::move(arc));
  }
  compact(model);
  if (Status status = placeRows(model); !status)
    return tl::unexpected<Error>(status.error());
  return model;
}

Result<Model> reduce(const Problem &problem) { return Reducer(problem).run(); }

} // namespace mpopt::search
