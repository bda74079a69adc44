#include "Classes.h"
#include "Routes.h"

#include <map>

namespace mpopt::search {

/// Renumbers the classes that occur; `firsts` receives their old numbers.
static std::shared_ptr<const ClassMap> renumber(const ClassMap &map, std::vector<int32_t> &olds) {
  std::vector<int32_t> numbers(size_t(countClasses(map)), -1);
  for (int32_t old : map)
    numbers[size_t(old)] = 0;
  for (size_t old = 0; old < numbers.size(); ++old)
    if (numbers[old] == 0) {
      numbers[old] = int32_t(olds.size());
      olds.push_back(int32_t(old));
    }
  auto result = std::make_shared<ClassMap>(map);
  for (int32_t &number : *result)
    number = numbers[size_t(number)];
  return result;
}

void compact(Model &model) {
  using Key = std::pair<const Table *, std::pair<std::vector<int32_t>, std::vector<int32_t>>>;
  std::map<Key, std::shared_ptr<const Table>> known;
  std::vector<std::shared_ptr<const Table>> held; // keeps the addresses in `known` unique
  for (Arc &arc : model.arcs) {
    std::vector<int32_t> rows, cols;
    auto rowClasses = renumber(*arc.classes[0], rows), colClasses = renumber(*arc.classes[1], cols);
    if (int32_t(rows.size()) == arc.table->rows && int32_t(cols.size()) == arc.table->cols)
      continue;
    auto [entry, fresh] = known.try_emplace({arc.table.get(), {rows, cols}});
    if (fresh) {
      auto table = std::make_shared<Table>(Table{int32_t(rows.size()), int32_t(cols.size()), {}});
      for (int32_t row : rows)
        for (int32_t col : cols)
          table->values.push_back(arc.table->at(row, col));
      entry->second = table;
    }
    held.push_back(arc.table);
    arc.classes[0] = rowClasses, arc.classes[1] = colClasses;
    arc.table = entry->second;
  }
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
