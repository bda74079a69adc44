#ifndef MPOPT_LIB_SEARCH_CLASSES_H
#define MPOPT_LIB_SEARCH_CLASSES_H

#include "Model.h"

#include <map>
#include <unordered_map>

namespace mpopt::search {

/// A table with the class maps of its two ends.
struct Compressed {
  std::shared_ptr<const ClassMap> classes[2];
  std::shared_ptr<const Table> table;
};

/// Makes tables, and makes equal ones once: from the problem's matrices, and from tables whose classes lost strategies.
class TableCache {
public:
  explicit TableCache(const Problem &problem) : problem(&problem) {}
  TableCache() = default;

  /// A matrix of the problem, and whether its rows belong to the arc's second
  /// end.
  using Term = std::pair<int32_t, bool>;

  const Compressed &sum(const std::vector<Term> &terms);

  /// Drops the classes that no strategy has any more and joins those that became equal. Returns whether the table changed.
  bool tighten(Arc &arc);

  /// Of equal tables always the same one.
  std::shared_ptr<const Table> shared(std::shared_ptr<const Table> table);

private:
  struct Equal {
    bool operator()(const Table *a, const Table *b) const;
  };
  struct Hash {
    size_t operator()(const Table *table) const;
  };
  using Key = std::pair<const Table *, std::pair<std::vector<int32_t>, std::vector<int32_t>>>;

  const Problem *problem = nullptr;
  std::map<std::vector<Term>, Compressed> known;
  std::map<Key, Compressed> tightened; ///< Class maps here go from old classes that are left to new ones.
  std::unordered_map<const Table *, std::shared_ptr<const Table>, Hash, Equal> tables;
};

/// Joins equal rows and equal columns of a matrix.
Compressed compress(const std::vector<double> &values, int32_t rows, int32_t cols);

/// One arc in place of two that join the same variables; `second` may join them the other way round.
Arc sumOf(const Arc &first, const Arc &second);

/// map[coarse[i]] per i.
std::shared_ptr<const ClassMap> compose(const ClassMap &coarse, const ClassMap &map);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_CLASSES_H
