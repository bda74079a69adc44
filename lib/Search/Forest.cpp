#include "Forest.h"

#include <algorithm>

namespace mpopt::search {

/// Variables by their distance from the seeds.
std::vector<int32_t> ForestSearch::reach(const std::vector<int32_t> &seeds, int radius) const {
  std::vector<int32_t> order = seeds;
  std::vector<char> seen(model.variables.size(), 0);
  for (int32_t seed : seeds)
    seen[size_t(seed)] = 1;
  size_t begin = 0;
  for (int distance = 0; distance < radius; ++distance) {
    size_t end = order.size();
    for (; begin < end; ++begin)
      for (int32_t arc : model.variables[size_t(order[begin])].arcs)
        if (int32_t next = other(model.arcs[size_t(arc)], order[begin]); !seen[size_t(next)])
          seen[size_t(next)] = 1, order.push_back(next);
  }
  return order;
}

/// Frees variables in this order as long as the free ones form a forest; the places come roots first.
std::vector<ForestSearch::Place> ForestSearch::grow(const std::vector<int32_t> &order) {
  std::vector<int32_t> tree(model.variables.size());
  for (size_t v = 0; v < tree.size(); ++v)
    tree[v] = int32_t(v);
  auto rootOf = [&](int32_t v) {
    while (tree[size_t(v)] != v)
      v = tree[size_t(v)] = tree[size_t(tree[size_t(v)])];
    return v;
  };
  isFree.assign(model.variables.size(), 0);
  for (int32_t variable : order) {
    std::vector<int32_t> joined;
    for (int32_t arc : model.variables[size_t(variable)].arcs)
      if (int32_t next = other(model.arcs[size_t(arc)], variable); isFree[size_t(next)])
        joined.push_back(rootOf(next));
    std::sort(joined.begin(), joined.end());
    if (std::adjacent_find(joined.begin(), joined.end()) != joined.end())
      continue;
    isFree[size_t(variable)] = 1;
    for (int32_t root : joined)
      tree[size_t(root)] = variable;
  }
  std::vector<Place> places;
  std::vector<char> placed(model.variables.size(), 0);
  for (int32_t root : order) {
    if (!isFree[size_t(root)] || placed[size_t(root)])
      continue;
    placed[size_t(root)] = 1;
    size_t at = places.size();
    places.push_back({root, -1, -1});
    for (; at < places.size(); ++at)
      for (int32_t arc : model.variables[size_t(places[at].variable)].arcs) {
        int32_t next = other(model.arcs[size_t(arc)], places[at].variable);
        if (isFree[size_t(next)] && !placed[size_t(next)])
          placed[size_t(next)] = 1, places.push_back({next, arc, places[at].variable});
      }
  }
  return places;
}

/// Per class of the far end, the least cost of this end with the arc.
std::vector<double> ForestSearch::message(const Arc &arc, int side, const std::vector<double> &own) {
  const Table &table = *arc.table;
  int32_t near = side == 0 ? table.rows : table.cols, far = side == 0 ? table.cols : table.rows;
  std::vector<double> least(size_t(near), kForbidden), result(size_t(far), kForbidden);
  for (size_t s = 0; s < own.size(); ++s) {
    double &value = least[size_t((*arc.classes[side])[s])];
    value = std::min(value, own[s]);
  }
  spent += double(table.values.size());
  for (int32_t row = 0; row < table.rows; ++row)
    for (int32_t col = 0; col < table.cols; ++col) {
      int32_t a = side == 0 ? row : col, b = side == 0 ? col : row;
      result[size_t(b)] = std::min(result[size_t(b)], least[size_t(a)] + table.at(row, col));
    }
  return result;
}

/// The least cost of all that touches a free variable; the free ones take the strategies that have it.
double ForestSearch::minimise(const std::vector<Place> &places, const Costs &costs) {
  std::vector<std::vector<double>> sums(model.variables.size());
  for (const Place &place : places) {
    std::vector<double> &sum = sums[size_t(place.variable)] = costs[size_t(place.variable)];
    for (int32_t index : model.variables[size_t(place.variable)].arcs) {
      const Arc &arc = model.arcs[size_t(index)];
      int32_t next = other(arc, place.variable);
      if (isFree[size_t(next)])
        continue;
      int side = model.side(arc, place.variable);
      for (size_t s = 0; s < sum.size(); ++s)
        sum[s] += arc.from(side, int32_t(s), choice_[size_t(next)]);
    }
  }
  double total = 0;
  for (size_t i = places.size(); i-- > 0;) {
    const Place &place = places[i];
    const std::vector<double> &own = sums[size_t(place.variable)];
    if (place.arc < 0) {
      total += *std::min_element(own.begin(), own.end());
      continue;
    }
    const Arc &arc = model.arcs[size_t(place.arc)];
    int side = model.side(arc, place.variable);
    std::vector<double> incoming = message(arc, side, own);
    std::vector<double> &parent = sums[size_t(place.parent)];
    for (size_t s = 0; s < parent.size(); ++s)
      parent[s] += incoming[size_t((*arc.classes[1 - side])[s])];
  }
  if (total == kForbidden)
    return total;
  for (const Place &place : places) { // parents come first
    std::vector<double> &own = sums[size_t(place.variable)];
    if (place.arc >= 0) {
      const Arc &arc = model.arcs[size_t(place.arc)];
      int side = model.side(arc, place.variable);
      for (size_t s = 0; s < own.size(); ++s)
        own[s] += arc.from(side, int32_t(s), choice_[size_t(place.parent)]);
    }
    choice_[size_t(place.variable)] = int32_t(std::min_element(own.begin(), own.end()) - own.begin());
  }
  return total;
}

bool ForestSearch::improve(const std::vector<int32_t> &seeds, const Costs &costs, int radius, int rounds) {
  std::vector<int32_t> within = reach(seeds, radius), order = within;
  auto costOf = [&] {
    double sum = 0;
    std::vector<char> inside(model.variables.size(), 0);
    for (int32_t v : within) {
      sum += costs[size_t(v)][size_t(choice_[size_t(v)])];
      inside[size_t(v)] = 1;
    }
    for (int32_t v : within)
      for (int32_t index : model.variables[size_t(v)].arcs) {
        const Arc &arc = model.arcs[size_t(index)];
        int32_t next = other(arc, v);
        if (!inside[size_t(next)] || v < next)
          sum += arc.at(choice_[size_t(arc.ends[0])], choice_[size_t(arc.ends[1])]);
      }
    return sum;
  };
  double before = costOf();
  int idle = 0;
  for (int round = 0; round < rounds && idle < 2; ++round) {
    std::vector<int32_t> last = choice_;
    if (minimise(grow(order), costs) == kForbidden)
      ++idle;
    double after = costOf();
    idle = after < before ? 0 : idle + 1;
    if (after > before)
      choice_ = last;
    before = std::min(before, after);
    // Seeds first, then what was held.
    order = seeds;
    for (char wanted : {0, 1})
      for (size_t i = seeds.size(); i < within.size(); ++i)
        if (isFree[size_t(within[i])] == wanted)
          order.push_back(within[i]);
  }
  return before != kForbidden;
}

} // namespace mpopt::search
