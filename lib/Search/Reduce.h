#ifndef MPOPT_LIB_SEARCH_REDUCE_H
#define MPOPT_LIB_SEARCH_REDUCE_H

#include "Classes.h"
#include "mpopt/Search/Alternatives.h"

#include <array>
#include <deque>
#include <map>

namespace mpopt::search {

/// Works a problem down to a Model. Variables keep their node's index until the
/// end. With `groups`, every group of strategies that could be chosen is kept,
/// and what is best of it stays best whichever others are banned.
class Reducer {
public:
  Reducer(const Problem &problem, const Groups &groups) : problem(problem), groups(groups), cache(problem) {}
  Result<Model> run();

private:
  struct TimedUse {
    Interval interval; ///< Of times; once rows are placed, of rows.
    std::vector<int64_t> usages;
  };
  struct Work {
    std::vector<int32_t> strategies;
    std::vector<double> costs;
    std::vector<TimedUse> uses;
    std::vector<int32_t> arcs; ///< Live ones.
    bool open = true;          ///< Still to be chosen.
  };

  void addNodes();
  void addArcs();
  void visit(int32_t variable);
  void settle(); ///< Visits what changed until nothing does.

  /// The reductions of one variable; each returns whether anything changed.
  bool removeForbidden(int32_t variable);
  bool dropSeparableArcs(int32_t variable);
  bool removeEqualClasses(int32_t variable);
  bool removeDominated(int32_t variable);
  bool decideSingle(int32_t variable);
  bool eliminate(int32_t variable); ///< Without memory and with at most two arcs.
  bool mergeForced(int32_t variable);

  void merge(int32_t root, int32_t follower, int32_t arc);
  void tidyUses(Work &entry, size_t first);
  void foldInto(int32_t variable, int32_t arc, int32_t strategy);
  void joinParallel(int32_t arc);
  bool follows(int32_t arc, int side) const;
  int32_t addArc(Arc arc);
  bool separable(const Arc &arc);
  void keep(int32_t variable, const std::vector<char> &mask);
  void drop(int32_t arc);
  void touch(int32_t variable);
  int32_t other(int32_t arc, int32_t variable) const {
    return arcs[size_t(arc)].ends[arcs[size_t(arc)].ends[0] == variable ? 1 : 0];
  }
  int sideOf(int32_t arc, int32_t variable) const { return arcs[size_t(arc)].ends[0] == variable ? 0 : 1; }
  bool lessUse(const Work &work, size_t a, size_t b) const;
  /// Whether a node has several groups.
  bool isGrouped(int32_t node) const;
  /// Whether two strategies left of a variable are of one group.
  bool sameGroup(int32_t variable, size_t a, size_t b) const;
  const std::vector<double> *differences(const Arc &arc, int side);
  Recovery::Link linkTo(int32_t variable, int32_t arc) const;
  Status placeRows();
  void splitUses(Work &entry, std::vector<int64_t> &least);
  void moveUses(const std::vector<int64_t> &times);
  Model finish();

  const Problem &problem;
  const Groups &groups;
  TableCache cache;
  std::vector<Work> work;
  std::vector<Arc> arcs;
  std::vector<std::array<int32_t, 2>> places; ///< Per arc and end: where it stands in that end's list.
  std::vector<char> live;
  std::deque<int32_t> queue; ///< Variables to visit.
  std::vector<char> queued;
  std::vector<TimedUse> decidedUses; ///< One usage each.
  std::vector<int64_t> room;         ///< Per row, once rows are placed.
  bool rowsPlaced = false;
  std::vector<Recovery> recoveries;
  double constant = 0;
  double dominanceWork = 0;
  std::optional<Error> failure;
  std::map<std::pair<const Table *, int>, std::vector<double>> differenceCache;
  std::map<const Table *, bool> separableCache;
};

/// reduce() for a problem of which groups of strategies may be banned later.
Result<Model> reduce(const Problem &problem, const Groups &groups);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_REDUCE_H
