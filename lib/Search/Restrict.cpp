#include "Classes.h"
#include "Routes.h"

namespace mpopt::search {

void compact(Model &model) {
  TableCache cache;
  for (Arc &arc : model.arcs)
    cache.tighten(arc);
}

template <typename T> static std::vector<T> filtered(const std::vector<T> &values, const std::vector<char> &keep) {
  std::vector<T> result;
  for (size_t i = 0; i < values.size(); ++i)
    if (keep[i])
      result.push_back(values[i]);
  return result;
}

Model restricted(const Model &model, const std::vector<std::vector<char>> &keep) {
  Model result = model;
  for (size_t v = 0; v < result.variables.size(); ++v) {
    Variable &variable = result.variables[v];
    variable.strategies = filtered(variable.strategies, keep[v]);
    variable.costs = filtered(variable.costs, keep[v]);
    for (Use &use : variable.uses)
      use.usages = filtered(use.usages, keep[v]);
  }
  for (Arc &arc : result.arcs)
    for (int side : {0, 1})
      arc.classes[side] = std::make_shared<ClassMap>(filtered(*arc.classes[side], keep[size_t(arc.ends[side])]));
  compact(result);
  return result;
}

} // namespace mpopt::search
