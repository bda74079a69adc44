#include "Classes.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace mpopt::search {

int32_t countClasses(const ClassMap &map) { return map.empty() ? 0 : *std::max_element(map.begin(), map.end()) + 1; }

std::shared_ptr<const ClassMap> refine(const std::shared_ptr<const ClassMap> &a,
                                       const std::shared_ptr<const ClassMap> &b) {
  if (a == b || *a == *b)
    return a;
  int64_t width = countClasses(*b), pairs = width * countClasses(*a);
  auto joint = std::make_shared<ClassMap>(a->size());
  if (pairs < 1 << 14) {
    ClassMap numbers(size_t(pairs), -1);
    int32_t count = 0;
    for (size_t i = 0; i < a->size(); ++i) {
      int32_t &number = numbers[size_t((*a)[i] * width + (*b)[i])];
      (*joint)[i] = number = number < 0 ? count++ : number;
    }
    return joint;
  }
  std::unordered_map<int64_t, int32_t> numbers;
  for (size_t i = 0; i < a->size(); ++i)
    (*joint)[i] = numbers.try_emplace((*a)[i] * width + (*b)[i], int32_t(numbers.size())).first->second;
  return joint;
}

/// Numbers the distinct rows; `firsts` receives the first row of each class.
static std::shared_ptr<const ClassMap> classifyRows(const std::vector<double> &values, int32_t rows, int32_t cols,
                                                    std::vector<int32_t> &firsts) {
  std::unordered_map<std::string_view, int32_t> numbers;
  auto classes = std::make_shared<ClassMap>(size_t(rows));
  for (int32_t row = 0; row < rows; ++row) {
    std::string_view bytes(reinterpret_cast<const char *>(values.data() + size_t(row) * size_t(cols)),
                           size_t(cols) * sizeof(double));
    auto [entry, fresh] = numbers.try_emplace(bytes, int32_t(numbers.size()));
    (*classes)[size_t(row)] = entry->second;
    if (fresh)
      firsts.push_back(row);
  }
  return classes;
}

static std::vector<double> transposed(const std::vector<double> &values, int32_t rows, int32_t cols) {
  std::vector<double> result(values.size());
  for (int32_t row = 0; row < rows; ++row)
    for (int32_t col = 0; col < cols; ++col)
      result[size_t(col) * size_t(rows) + size_t(row)] = values[size_t(row) * size_t(cols) + size_t(col)];
  return result;
}

Compressed compress(const std::vector<double> &values, int32_t rows, int32_t cols) {
  std::vector<int32_t> firstRows, firstCols;
  Compressed result;
  result.classes[0] = classifyRows(values, rows, cols, firstRows);
  result.classes[1] = classifyRows(transposed(values, rows, cols), cols, rows, firstCols);
  auto table = std::make_shared<Table>(Table{int32_t(firstRows.size()), int32_t(firstCols.size()), {}});
  for (int32_t row : firstRows)
    for (int32_t col : firstCols)
      table->values.push_back(values[size_t(row) * size_t(cols) + size_t(col)]);
  result.table = table;
  return result;
}

const Compressed &TableCache::sum(const std::vector<Term> &terms) {
  auto [entry, fresh] = known.try_emplace(terms);
  if (!fresh)
    return entry->second;
  auto [first, firstFlipped] = terms.front();
  const Matrix &shape = problem->matrices[size_t(first)];
  int32_t rows = firstFlipped ? shape.cols : shape.rows, cols = firstFlipped ? shape.rows : shape.cols;
  std::vector<double> values(size_t(rows) * size_t(cols), 0.0);
  for (auto [index, flipped] : terms) {
    const Matrix &matrix = problem->matrices[size_t(index)];
    for (int32_t row = 0; row < rows; ++row)
      for (int32_t col = 0; col < cols; ++col)
        values[size_t(row) * size_t(cols) + size_t(col)] += flipped ? matrix.at(col, row) : matrix.at(row, col);
  }
  entry->second = compress(values, rows, cols);
  entry->second.table = shared(entry->second.table);
  return entry->second;
}

bool TableCache::Equal::operator()(const Table *a, const Table *b) const {
  return a->rows == b->rows && a->cols == b->cols && a->values == b->values;
}

size_t TableCache::Hash::operator()(const Table *table) const {
  return std::hash<std::string_view>()(
             {reinterpret_cast<const char *>(table->values.data()), table->values.size() * sizeof(double)}) *
             31 +
         size_t(table->rows);
}

std::shared_ptr<const Table> TableCache::shared(std::shared_ptr<const Table> table) {
  return tables.try_emplace(table.get(), table).first->second;
}

std::shared_ptr<const ClassMap> compose(const ClassMap &coarse, const ClassMap &map) {
  auto result = std::make_shared<ClassMap>(coarse.size());
  for (size_t i = 0; i < coarse.size(); ++i)
    (*result)[i] = map[size_t(coarse[i])];
  return result;
}

/// The classes that occur, ascending.
static std::vector<int32_t> present(const ClassMap &map, int32_t count) {
  std::vector<char> occurs(size_t(count), 0);
  for (int32_t c : map)
    occurs[size_t(c)] = 1;
  std::vector<int32_t> result;
  for (int32_t c = 0; c < count; ++c)
    if (occurs[size_t(c)])
      result.push_back(c);
  return result;
}

/// From old class numbers to places in `olds` and from there to `news`.
static std::shared_ptr<const ClassMap> renumber(const ClassMap &map, const std::vector<int32_t> &olds, int32_t count,
                                                const ClassMap &news) {
  ClassMap numbers(size_t(count), -1);
  for (size_t i = 0; i < olds.size(); ++i)
    numbers[size_t(olds[i])] = news[i];
  return compose(map, numbers);
}

bool TableCache::tighten(Arc &arc) {
  std::shared_ptr<const Table> before = arc.table;
  const Table &old = *before;
  Key key{nullptr, {present(*arc.classes[0], old.rows), present(*arc.classes[1], old.cols)}};
  const auto &[rows, cols] = key.second;
  if (int32_t(rows.size()) == old.rows && int32_t(cols.size()) == old.cols)
    return false;
  key.first = shared(before).get(); // held there, so that no other table gets its address
  auto [entry, fresh] = tightened.try_emplace(key);
  if (fresh) {
    std::vector<double> values;
    values.reserve(rows.size() * cols.size());
    for (int32_t row : rows)
      for (int32_t col : cols)
        values.push_back(old.at(row, col));
    entry->second = compress(values, int32_t(rows.size()), int32_t(cols.size()));
    entry->second.table = shared(entry->second.table);
  }
  int32_t counts[2] = {old.rows, old.cols};
  for (int side : {0, 1})
    arc.classes[side] =
        renumber(*arc.classes[side], side == 0 ? rows : cols, counts[side], *entry->second.classes[side]);
  arc.table = entry->second.table;
  return true;
}

Arc sumOf(const Arc &first, const Arc &second) {
  bool flipped = first.ends[0] != second.ends[0];
  Arc result = first;
  std::vector<int32_t> parts[2][2]; // per end and arc: joint class -> class
  for (int end : {0, 1}) {
    const auto &a = first.classes[end], &b = second.classes[flipped ? 1 - end : end];
    auto joint = refine(a, b);
    size_t count = size_t(countClasses(*joint));
    parts[end][0].resize(count), parts[end][1].resize(count);
    for (size_t s = 0; s < joint->size(); ++s) {
      parts[end][0][size_t((*joint)[s])] = (*a)[s];
      parts[end][1][size_t((*joint)[s])] = (*b)[s];
    }
    result.classes[end] = joint;
  }
  size_t rows = parts[0][0].size(), cols = parts[1][0].size();
  std::vector<double> values(rows * cols);
  for (size_t row = 0; row < rows; ++row)
    for (size_t col = 0; col < cols; ++col)
      values[row * cols + col] = first.table->at(parts[0][0][row], parts[1][0][col]) +
                                 (flipped ? second.table->at(parts[1][1][col], parts[0][1][row])
                                          : second.table->at(parts[0][1][row], parts[1][1][col]));
  Compressed compressed = compress(values, int32_t(rows), int32_t(cols));
  for (int end : {0, 1})
    result.classes[end] = compose(*result.classes[end], *compressed.classes[end]);
  result.table = compressed.table;
  return result;
}

} // namespace mpopt::search
