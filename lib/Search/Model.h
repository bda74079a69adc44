#ifndef MPOPT_LIB_SEARCH_MODEL_H
#define MPOPT_LIB_SEARCH_MODEL_H

#include "mpopt/Search/Problem.h"

#include <memory>

namespace mpopt::search {

/// Strategy -> class: strategies of one class have equal rows (columns) in a
/// table.
using ClassMap = std::vector<int32_t>;

/// A cost matrix without its repeated rows and columns.
struct Table {
  int32_t rows = 0;
  int32_t cols = 0;
  std::vector<double> values;

  double at(int32_t row, int32_t col) const { return values[size_t(row) * size_t(cols) + size_t(col)]; }
};

/// The summed cost between two variables. Few classes make everything that
/// follows cheap: costs between layouts do not depend on all of a strategy,
/// only on its layout of one tensor.
struct Arc {
  int32_t ends[2];
  std::shared_ptr<const ClassMap> classes[2];
  std::shared_ptr<const Table> table;

  double at(int32_t strategy0, int32_t strategy1) const {
    return table->at((*classes[0])[size_t(strategy0)], (*classes[1])[size_t(strategy1)]);
  }
  /// The same seen from end `side`.
  double from(int side, int32_t own, int32_t other) const { return side == 0 ? at(own, other) : at(other, own); }
};

/// Memory of a variable on the rows [first, last).
struct Use {
  int32_t first = 0;
  int32_t last = 0;
  std::vector<int64_t> usages; ///< Per strategy.
};

/// How the strategy of a node that is no variable follows from those of others. Strategies are numbered as in the problem.
struct Recovery {
  struct Link {
    int32_t node;
    int32_t side;                ///< Of the recovered node in the table.
    std::vector<int32_t> own;    ///< Per entry of `strategies`: its class.
    std::vector<int32_t> others; ///< Per strategy of `node`: its class; -1 where it was ruled out.
    std::shared_ptr<const Table> table;
  };
  int32_t node;
  std::vector<int32_t> strategies; ///< To choose the cheapest from; or, with one link and no table,
                                   ///< per strategy of that link's node the strategy that goes with it.
  std::vector<double> costs;
  std::vector<Link> links;

  int32_t strategy(const std::vector<int32_t> &choice) const;
};

struct Variable {
  int32_t node = 0;                ///< In the problem.
  std::vector<int32_t> strategies; ///< In the problem, ascending.
  std::vector<double> costs;       ///< Finite.
  std::vector<Use> uses;
  std::vector<int32_t> arcs;

  int32_t size() const { return int32_t(strategies.size()); }
};

/// What is left of a problem after the reductions that keep at least one best
/// plan. A row is a time at which memory may run out; no other time can.
struct Model {
  std::vector<Variable> variables;
  std::vector<Arc> arcs;
  std::vector<int64_t> room;    ///< Per row: the limit less what is decided already; >= 0.
  double constant = 0;          ///< Cost of what is decided already.
  std::vector<int32_t> decided; ///< Per node of the problem: its strategy, or -1 where it is open.
  /// In the order in which nodes were merged or eliminated; the last is recovered first.
  std::shared_ptr<const std::vector<Recovery>> recoveries;

  int side(const Arc &arc, int32_t variable) const { return arc.ends[0] == variable ? 0 : 1; }
  /// A strategy per node from a strategy per variable.
  std::vector<int32_t> expand(const std::vector<int32_t> &choice) const;
  double cost(const std::vector<int32_t> &choice) const;
  /// Usage per row.
  std::vector<int64_t> usage(const std::vector<int32_t> &choice) const;
  bool fits(const std::vector<int32_t> &choice) const;
};

/// Reduces a problem that passed check(): forbidden values, equal and dominated
/// strategies, single strategies, parallel and separable edges, nodes whose
/// strategy follows from a neighbour's, nodes without memory on one or two
/// edges, times that cannot overflow. Errors: no allowed combination; decided
/// memory over the limit.
Result<Model> reduce(const Problem &problem);

/// The coarsest map that is at least as fine as both, numbered by first
/// occurrence.
std::shared_ptr<const ClassMap> refine(const std::shared_ptr<const ClassMap> &a,
                                       const std::shared_ptr<const ClassMap> &b);

int32_t countClasses(const ClassMap &map);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_MODEL_H
