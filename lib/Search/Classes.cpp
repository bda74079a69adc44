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
  int64_t width = countClasses(*b);
  std::unordered_map<int64_t, int32_t> numbers;
  auto joint = std::make_shared<ClassMap>(a->size());
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

static Compressed compress(const std::vector<double> &values, int32_t rows, int32_t cols) {
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
  const Matrix &shape = problem.matrices[size_t(first)];
  int32_t rows = firstFlipped ? shape.cols : shape.rows, cols = firstFlipped ? shape.rows : shape.cols;
  std::vector<double> values(size_t(rows) * size_t(cols), 0.0);
  for (auto [index, flipped] : terms) {
    const Matrix &matrix = problem.matrices[size_t(index)];
    for (int32_t row = 0; row < rows; ++row)
      for (int32_t col = 0; col < cols; ++col)
        values[size_t(row) * size_t(cols) + size_t(col)] += flipped ? matrix.at(col, row) : matrix.at(row, col);
  }
  return entry->second = compress(values, rows, cols);
}

} // namespace mpopt::search
