#ifndef MPOPT_LIB_SEARCH_CLASSES_H
#define MPOPT_LIB_SEARCH_CLASSES_H

#include "Model.h"

#include <map>

namespace mpopt::search {

/// A table with the class maps of its two ends.
struct Compressed {
  std::shared_ptr<const ClassMap> classes[2];
  std::shared_ptr<const Table> table;
};

/// Turns the problem's matrices into tables, once for each distinct sum of
/// matrices.
class TableCache {
public:
  explicit TableCache(const Problem &problem) : problem(problem) {}

  /// A matrix of the problem, and whether its rows belong to the arc's second
  /// end.
  using Term = std::pair<int32_t, bool>;

  const Compressed &sum(const std::vector<Term> &terms);

private:
  const Problem &problem;
  std::map<std::vector<Term>, Compressed> known;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_CLASSES_H
