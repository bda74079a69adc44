#include "Flat.h"

#include <algorithm>
#include <map>

namespace mpopt::search {

static std::vector<double> layOut(const Arc &arc, int side, int32_t width) {
  const ClassMap &own = *arc.classes[side], &other = *arc.classes[1 - side];
  std::vector<double> table(own.size() * size_t(width), kForbidden);
  for (size_t s = 0; s < own.size(); ++s)
    for (size_t t = 0; t < other.size(); ++t)
      table[s * size_t(width) + t] = side == 0 ? arc.table->at(own[s], other[t]) : arc.table->at(other[t], own[s]);
  return table;
}

Flat::Flat(const Model &model) : model(model), links(model.variables.size()) {
  starts.push_back(0);
  for (const Variable &variable : model.variables) {
    sizes.push_back(variable.size());
    starts.push_back(starts.back() + (variable.size() + 3) / 4 * 4);
  }
  tables.reserve(2 * model.arcs.size()); // so that their addresses last
  std::map<std::tuple<const Table *, ClassMap, ClassMap>, size_t> known;
  for (size_t i = 0; i < model.arcs.size(); ++i) {
    const Arc &arc = model.arcs[i];
    auto [entry, fresh] = known.try_emplace({arc.table.get(), *arc.classes[0], *arc.classes[1]}, tables.size());
    for (int side : {0, 1})
      if (fresh)
        tables.push_back(layOut(arc, side, padded(arc.ends[1 - side])));
    const double *data[2] = {tables[entry->second].data(), tables[entry->second + 1].data()};
    int32_t places[2] = {int32_t(links[size_t(arc.ends[0])].size()), int32_t(links[size_t(arc.ends[1])].size())};
    for (int side : {0, 1})
      links[size_t(arc.ends[side])].push_back(
          {arc.ends[1 - side], int32_t(i), places[1 - side], data[side], data[1 - side]});
  }
}

void Flat::priced(const Prices &prices, FlatCosts &costs) const {
  std::vector<double> before = sumBefore(prices);
  costs.assign(size_t(starts.back()), kForbidden);
  for (size_t v = 0; v < sizes.size(); ++v) {
    const Variable &variable = model.variables[v];
    double *own = costs.data() + starts[v];
    std::copy(variable.costs.begin(), variable.costs.end(), own);
    for (const Use &use : variable.uses) {
      double price = before[size_t(use.last)] - before[size_t(use.first)];
      for (size_t s = 0; s < use.usages.size(); ++s)
        own[s] += price * double(use.usages[s]);
    }
  }
}

} // namespace mpopt::search
