#include "Reduce.h"
#include "Routes.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

void Reducer::addNodes() {
  for (const Node &node : problem.nodes) {
    Work entry;
    entry.costs = node.costs;
    entry.strategies.resize(node.costs.size());
    for (size_t s = 0; s < node.costs.size(); ++s)
      entry.strategies[s] = int32_t(s);
    for (const UsageComponent &component : node.usages)
      if (!component.interval.empty() && problem.usageLimit)
        entry.uses.push_back({component.interval, component.usages});
    work.push_back(std::move(entry));
  }
  for (Work &entry : work)
    tidyUses(entry, 0);
}

void Reducer::addArcs() {
  std::map<std::pair<int32_t, int32_t>, std::vector<TableCache::Term>> pairs;
  for (const Edge &edge : problem.edges)
    pairs[{std::min(edge.from, edge.to), std::max(edge.from, edge.to)}].push_back({edge.matrix, edge.from > edge.to});
  for (auto &[ends, terms] : pairs) {
    std::sort(terms.begin(), terms.end());
    const Compressed &sum = cache.sum(terms);
    addArc({{ends.first, ends.second}, {sum.classes[0], sum.classes[1]}, sum.table});
  }
}

/// The arc's table must come from the cache.
int32_t Reducer::addArc(Arc arc) {
  int32_t index = int32_t(arcs.size());
  places.push_back({});
  for (int side : {0, 1}) {
    std::vector<int32_t> &list = work[size_t(arc.ends[side])].arcs;
    places.back()[size_t(side)] = int32_t(list.size());
    list.push_back(index);
  }
  arcs.push_back(std::move(arc));
  live.push_back(1);
  return index;
}

void Reducer::drop(int32_t index) {
  Arc &arc = arcs[size_t(index)];
  live[size_t(index)] = 0;
  for (int side : {0, 1}) {
    std::vector<int32_t> &list = work[size_t(arc.ends[side])].arcs;
    size_t place = size_t(places[size_t(index)][size_t(side)]);
    int32_t moved = list[place] = list.back();
    list.pop_back();
    places[size_t(moved)][size_t(sideOf(moved, arc.ends[side]))] = int32_t(place);
  }
  arc.classes[0] = arc.classes[1] = nullptr;
  arc.table = nullptr;
}

void Reducer::touch(int32_t variable) {
  if (queued[size_t(variable)] || !work[size_t(variable)].open)
    return;
  queued[size_t(variable)] = 1;
  queue.push_back(variable);
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
    int side = sideOf(index, variable);
    auto classes = std::make_shared<ClassMap>(*arc.classes[side]);
    filter(*classes, mask);
    arc.classes[side] = classes;
  }
  if (entry.strategies.empty() && !failure)
    failure = Error{"no allowed combination of strategies exists: node '" + problem.nodes[size_t(variable)].name +
                    "' is left without one; allow more strategies for it or "
                    "its neighbours"};
  if (failure)
    return;
  for (int32_t index : entry.arcs)
    if (cache.tighten(arcs[size_t(index)]))
      touch(other(index, variable));
  tidyUses(entry, 0);
  touch(variable);
}

/// Moves what every strategy uses to what is decided, from the use `first` on.
void Reducer::tidyUses(Work &entry, size_t first) {
  auto constantUse = [&](TimedUse &use) {
    if (use.usages.empty())
      return true;
    auto [low, high] = std::minmax_element(use.usages.begin(), use.usages.end());
    int64_t least = *low, most = *high;
    if (least > 0) {
      decidedUses.push_back({use.interval, {least}});
      for (int64_t &usage : use.usages)
        usage -= least;
    }
    return least == most;
  };
  entry.uses.erase(std::remove_if(entry.uses.begin() + int64_t(first), entry.uses.end(), constantUse),
                   entry.uses.end());
}

bool Reducer::removeForbidden(int32_t variable) {
  Work &entry = work[size_t(variable)];
  std::vector<char> mask(entry.costs.size());
  for (size_t s = 0; s < mask.size(); ++s)
    mask[s] = entry.costs[s] != kForbidden;
  for (int32_t index : entry.arcs) {
    const Arc &arc = arcs[size_t(index)];
    int side = sideOf(index, variable);
    const Table &table = *arc.table;
    int32_t own = side == 0 ? table.rows : table.cols, others = side == 0 ? table.cols : table.rows;
    std::vector<char> supported(size_t(own), 0);
    for (int32_t a = 0; a < own; ++a)
      for (int32_t b = 0; b < others && !supported[size_t(a)]; ++b)
        supported[size_t(a)] = (side == 0 ? table.at(a, b) : table.at(b, a)) != kForbidden;
    for (size_t s = 0; s < mask.size(); ++s)
      mask[s] &= supported[size_t((*arc.classes[side])[s])];
  }
  if (std::all_of(mask.begin(), mask.end(), [](char m) { return m; }))
    return false;
  keep(variable, mask);
  return true;
}

static bool isSeparable(const Table &table) {
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

bool Reducer::separable(const Arc &arc) {
  auto [entry, fresh] = separableCache.try_emplace(arc.table.get(), false);
  if (fresh)
    entry->second = isSeparable(*arc.table);
  return entry->second;
}

bool Reducer::dropSeparableArcs(int32_t variable) {
  bool changed = false;
  for (int32_t index : std::vector<int32_t>(work[size_t(variable)].arcs)) {
    const Arc arc = arcs[size_t(index)];
    if (!separable(arc))
      continue;
    for (int side : {0, 1}) {
      Work &end = work[size_t(arc.ends[side])];
      for (size_t s = 0; s < end.costs.size(); ++s)
        end.costs[s] += side == 0 ? arc.table->at((*arc.classes[0])[s], 0)
                                  : arc.table->at(0, (*arc.classes[1])[s]) - arc.table->at(0, 0);
      touch(arc.ends[side]);
    }
    drop(index);
    changed = true;
  }
  return changed;
}

/// Adds the costs of an arc, at one strategy of `variable`, to the other end.
void Reducer::foldInto(int32_t variable, int32_t index, int32_t strategy) {
  const Arc &arc = arcs[size_t(index)];
  int side = sideOf(index, variable);
  Work &end = work[size_t(arc.ends[1 - side])];
  for (size_t s = 0; s < end.costs.size(); ++s)
    end.costs[s] += arc.from(side, strategy, int32_t(s));
  touch(arc.ends[1 - side]);
  drop(index);
}

bool Reducer::decideSingle(int32_t variable) {
  Work &entry = work[size_t(variable)];
  if (entry.strategies.size() != 1)
    return false;
  constant += entry.costs[0];
  tidyUses(entry, 0);
  for (int32_t index : std::vector<int32_t>(entry.arcs))
    foldInto(variable, index, 0);
  entry.open = false;
  return true;
}

void Reducer::visit(int32_t variable) {
  Work &entry = work[size_t(variable)];
  bool changed = true;
  while (changed && entry.open && !failure) {
    changed = removeForbidden(variable);
    if (failure || decideSingle(variable))
      return;
    changed |= dropSeparableArcs(variable);
    changed |= removeEqualClasses(variable);
    changed |= removeDominated(variable);
    if (decideSingle(variable) || eliminate(variable))
      return;
    if (!changed)
      changed = mergeForced(variable);
  }
}

void Reducer::settle() {
  for (size_t i = 0; i < work.size(); ++i)
    touch(int32_t(i));
  while (!queue.empty() && !failure) {
    int32_t variable = queue.front();
    queue.pop_front();
    queued[size_t(variable)] = 0;
    visit(variable);
  }
}

Model Reducer::finish() {
  Model model;
  model.constant = constant;
  model.room = room;
  model.decided.assign(work.size(), -1);
  std::vector<char> recovered(work.size(), 0);
  for (const Recovery &recovery : recoveries)
    recovered[size_t(recovery.node)] = 1;
  std::vector<int32_t> numbers(work.size(), -1);
  for (size_t i = 0; i < work.size(); ++i) {
    Work &entry = work[i];
    if (!entry.open) {
      if (!recovered[i])
        model.decided[i] = entry.strategies[0];
      continue;
    }
    numbers[i] = int32_t(model.variables.size());
    model.variables.push_back({int32_t(i), std::move(entry.strategies), std::move(entry.costs), {}, {}});
    for (TimedUse &use : entry.uses)
      model.variables.back().uses.push_back(
          {int32_t(use.interval.first), int32_t(use.interval.last), std::move(use.usages)});
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
  model.recoveries = std::make_shared<const std::vector<Recovery>>(std::move(recoveries));
  return model;
}

Result<Model> Reducer::run() {
  queued.assign(problem.nodes.size(), 0);
  addNodes();
  addArcs();
  settle();
  // Fewer times matter once strategies are gone, and that makes more strategies equal in memory.
  for (int round = 0; round < 2 && !failure; ++round) {
    if (Status status = placeRows(); !status)
      return tl::unexpected<Error>(status.error());
    settle();
  }
  if (failure)
    return tl::unexpected<Error>(*failure);
  if (Status status = placeRows(); !status)
    return tl::unexpected<Error>(status.error());
  return finish();
}

Result<Model> reduce(const Problem &problem, const Groups &groups) { return Reducer(problem, groups).run(); }

Result<Model> reduce(const Problem &problem) { return reduce(problem, {}); }

} // namespace mpopt::search
