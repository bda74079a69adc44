#include "Kernels.h"
#include "Reduce.h"

#include <algorithm>

namespace mpopt::search {

int32_t Recovery::strategy(const std::vector<int32_t> &choice) const {
  if (links.size() == 1 && !links[0].table)
    return strategies[size_t(choice[size_t(links[0].node)])];
  double least = kForbidden;
  int32_t best = strategies.front();
  for (size_t s = 0; s < strategies.size(); ++s) {
    double cost = costs[s];
    for (const Link &link : links) {
      int32_t own = link.own[s], other = link.others[size_t(choice[size_t(link.node)])];
      cost += link.side == 0 ? link.table->at(own, other) : link.table->at(other, own);
    }
    if (cost < least)
      least = cost, best = strategies[s];
  }
  return best;
}

/// An arc as seen from a variable that is about to go.
Recovery::Link Reducer::linkTo(int32_t variable, int32_t index) const {
  const Arc &arc = arcs[size_t(index)];
  int side = sideOf(index, variable);
  int32_t node = arc.ends[1 - side];
  Recovery::Link link{node, side, *arc.classes[side], {}, arc.table};
  link.others.assign(problem.nodes[size_t(node)].costs.size(), -1);
  const std::vector<int32_t> &strategies = work[size_t(node)].strategies;
  for (size_t s = 0; s < strategies.size(); ++s)
    link.others[size_t(strategies[s])] = (*arc.classes[1 - side])[s];
  return link;
}

/// Least cost of a variable for each pair of classes of its two neighbours.
static Arc throughArc(const std::vector<double> &costs, const Arc &first, int firstSide, const Arc &second,
                      int secondSide) {
  Arc result{{first.ends[1 - firstSide], second.ends[1 - secondSide]},
             {first.classes[1 - firstSide], second.classes[1 - secondSide]},
             nullptr};
  int32_t rows = firstSide == 0 ? first.table->cols : first.table->rows,
          cols = secondSide == 0 ? second.table->cols : second.table->rows;
  auto cost = [](const Arc &arc, int side, int32_t own, int32_t other) {
    return side == 0 ? arc.table->at(own, other) : arc.table->at(other, own);
  };
  size_t size = costs.size();
  std::vector<double> lines(size * size_t(cols)), bases(size), values(size_t(rows) * size_t(cols), kForbidden);
  std::vector<const double *> pointers(size);
  for (size_t s = 0; s < size; ++s) {
    pointers[s] = lines.data() + s * size_t(cols);
    for (int32_t col = 0; col < cols; ++col)
      lines[s * size_t(cols) + size_t(col)] = cost(second, secondSide, (*second.classes[secondSide])[s], col);
  }
  for (int32_t row = 0; row < rows; ++row) {
    for (size_t s = 0; s < size; ++s)
      bases[s] = costs[s] + cost(first, firstSide, (*first.classes[firstSide])[s], row);
    minPlus(values.data() + size_t(row) * size_t(cols), bases.data(), pointers.data(), 1, size, nullptr, cols);
  }
  Compressed compressed = compress(values, rows, cols);
  result.table = compressed.table;
  for (int end : {0, 1})
    result.classes[end] = compose(*result.classes[end], *compressed.classes[end]);
  return result;
}

/// A node without memory is best chosen once its neighbours are. With two of them that needs a new table, which must not
/// be larger than those it replaces.
bool Reducer::eliminate(int32_t variable) {
  Work &entry = work[size_t(variable)];
  if (!entry.uses.empty() || entry.arcs.empty() || entry.arcs.size() > 2 || !problem.usageLimit || isGrouped(variable))
    return false;
  std::vector<int32_t> indices = entry.arcs;
  std::vector<int> sides;
  std::vector<Recovery::Link> links;
  double replaced = 0, table = 1;
  for (int32_t index : indices) {
    sides.push_back(sideOf(index, variable));
    const Table &old = *arcs[size_t(index)].table;
    replaced += double(old.values.size());
    table *= sides.back() == 0 ? old.cols : old.rows;
  }
  if (indices.size() == 2 && table > replaced)
    return false;
  for (int32_t index : indices)
    links.push_back(linkTo(variable, index));
  recoveries.push_back({variable, entry.strategies, entry.costs, std::move(links)});
  Arc first = arcs[size_t(indices[0])];
  int32_t neighbour = first.ends[1 - sides[0]];
  if (indices.size() == 1) {
    Work &end = work[size_t(neighbour)];
    std::vector<double> least(size_t(table), kForbidden);
    for (size_t s = 0; s < entry.costs.size(); ++s)
      for (int32_t c = 0; c < int32_t(least.size()); ++c) {
        int32_t own = (*first.classes[sides[0]])[s];
        least[size_t(c)] = std::min(
            least[size_t(c)], entry.costs[s] + (sides[0] == 0 ? first.table->at(own, c) : first.table->at(c, own)));
      }
    for (size_t s = 0; s < end.costs.size(); ++s)
      end.costs[s] += least[size_t((*first.classes[1 - sides[0]])[s])];
  }
  Arc through;
  if (indices.size() == 2)
    through = throughArc(entry.costs, first, sides[0], arcs[size_t(indices[1])], sides[1]);
  for (int32_t index : indices) {
    touch(other(index, variable));
    drop(index);
  }
  entry.open = false;
  if (indices.size() == 2) {
    through.table = cache.shared(through.table);
    joinParallel(addArc(std::move(through)));
  }
  return true;
}

/// Sums a new arc and the one that joins the same variables already.
void Reducer::joinParallel(int32_t index) {
  Arc arc = arcs[size_t(index)];
  size_t degree[2] = {work[size_t(arc.ends[0])].arcs.size(), work[size_t(arc.ends[1])].arcs.size()};
  int near = degree[0] <= degree[1] ? 0 : 1;
  for (int32_t known : work[size_t(arc.ends[near])].arcs) {
    if (known == index || other(known, arc.ends[near]) != arc.ends[1 - near])
      continue;
    Arc sum = sumOf(arcs[size_t(known)], arc);
    sum.table = cache.shared(sum.table);
    drop(known);
    drop(index);
    addArc(std::move(sum));
    return;
  }
}

/// Whether each strategy of end `side` allows one strategy of the other end only.
bool Reducer::follows(int32_t index, int side) const {
  const Arc &arc = arcs[size_t(index)];
  const Table &table = *arc.table;
  int32_t own = side == 0 ? table.rows : table.cols, others = side == 0 ? table.cols : table.rows;
  std::vector<int32_t> members(size_t(others), 0);
  for (int32_t c : *arc.classes[1 - side])
    ++members[size_t(c)];
  for (int32_t a = 0; a < own; ++a) {
    int32_t partners = 0;
    for (int32_t b = 0; b < others && partners < 2; ++b)
      if ((side == 0 ? table.at(a, b) : table.at(b, a)) != kForbidden)
        partners += members[size_t(b)];
    if (partners != 1)
      return false;
  }
  return true;
}

/// Merges neighbours whose strategy follows from this variable's, or else this variable where it follows from a neighbour's.
bool Reducer::mergeForced(int32_t variable) {
  bool merged = false;
  for (int32_t index : std::vector<int32_t>(work[size_t(variable)].arcs)) {
    if (!live[size_t(index)])
      continue;
    int side = sideOf(index, variable);
    if (!isGrouped(other(index, variable)) && follows(index, side))
      merge(variable, other(index, variable), index), merged = true;
    else if (!merged && !isGrouped(variable) && follows(index, 1 - side))
      return merge(other(index, variable), variable, index), true;
  }
  return merged;
}

void Reducer::merge(int32_t root, int32_t follower, int32_t index) {
  Arc arc = arcs[size_t(index)];
  int side = sideOf(index, root);
  Work &to = work[size_t(root)], &from = work[size_t(follower)];
  size_t size = to.costs.size();
  Recovery recovery{follower, std::vector<int32_t>(problem.nodes[size_t(root)].costs.size(), -1), {}, {}};
  recovery.links.push_back({root, side, {}, {}, nullptr});
  std::vector<int32_t> follows(size, -1);
  for (size_t s = 0; s < size; ++s) {
    for (size_t t = 0; t < from.costs.size() && follows[s] < 0; ++t)
      if (arc.from(side, int32_t(s), int32_t(t)) != kForbidden)
        follows[s] = int32_t(t);
    recovery.strategies[size_t(to.strategies[s])] = from.strategies[size_t(follows[s])];
    to.costs[s] += from.costs[size_t(follows[s])] + arc.from(side, int32_t(s), follows[s]);
  }
  recoveries.push_back(std::move(recovery));
  drop(index);
  size_t firstNew = to.uses.size();
  for (TimedUse &use : from.uses) {
    std::vector<int64_t> usages(size);
    for (size_t s = 0; s < size; ++s)
      usages[s] = use.usages[size_t(follows[s])];
    to.uses.push_back({use.interval, std::move(usages)});
  }
  from.uses.clear();
  tidyUses(to, firstNew);
  for (int32_t moved : std::vector<int32_t>(from.arcs)) {
    Arc copy = arcs[size_t(moved)];
    int end = sideOf(moved, follower);
    drop(moved);
    copy.ends[end] = root;
    copy.classes[end] = compose(follows, *copy.classes[end]);
    cache.tighten(copy);
    touch(copy.ends[1 - end]);
    joinParallel(addArc(std::move(copy)));
  }
  from.open = false;
  touch(root);
}

} // namespace mpopt::search
