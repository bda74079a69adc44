#ifndef MPOPT_LIB_SEARCH_REDUCE_H
#define MPOPT_LIB_SEARCH_REDUCE_H

#include "Classes.h"

#include <map>

namespace mpopt::search {

/// Works a problem down to a Model. Variables keep their node's index until the
/// end.
class Reducer {
public:
  explicit Reducer(const Problem &problem) : problem(problem), cache(problem) {}
  Result<Model> run();

private:
  struct TimedUse {
    Interval interval;
    std::vector<int64_t> usages;
  };
  struct Work {
    std::vector<int32_t> strategies;
    std::vector<double> costs;
    std::vector<TimedUse> uses;
    std::vector<int32_t> arcs; ///< Live ones.
    bool decided = false;
  };

  void addNodes();
  void addArcs();
  /// The rounds; each returns whether anything changed.
  bool removeForbidden();
  bool dropSeparableArcs();
  bool removeEqualClasses(int32_t variable);
  bool removeDominated(int32_t variable);
  bool decideSingles();

  void keep(int32_t variable, const std::vector<char> &mask);
  void drop(int32_t arc);
  bool lessUse(const Work &work, size_t a, size_t b) const;
  const std::vector<double> &differences(const Arc &arc, int side);
  Status placeRows(Model &model);

  const Problem &problem;
  TableCache cache;
  std::vector<Work> work;
  std::vector<Arc> arcs;
  std::vector<char> live;
  std::vector<TimedUse> decidedUses; ///< One usage each.
  double constant = 0;
  double dominanceWork = 0;
  std::optional<Error> failure;
  std::map<std::pair<const Table *, int>, std::vector<double>> differenceCache;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_REDUCE_H
