#ifndef MPOPT_LIB_SEARCH_MESSAGES_H
#define MPOPT_LIB_SEARCH_MESSAGES_H

#include "Prices.h"

#include <array>
#include <map>

namespace mpopt::search {

/// Sequential tree-reweighted message passing (Kolmogorov 2006, in the form of Kolmogorov 2015): moves cost between arcs and
/// variables without changing any plan's cost, so that the sum of the variables' least costs, a bound, never falls.
class Messages {
public:
  /// Per side, arc and class: cost moved from the arc to that end.
  using State = std::array<std::vector<std::vector<double>>, 2>;

  explicit Messages(const Model &model);

  /// One pass forward and one backward through the variables. Returns the bound: no choice costs less in `unary` plus arcs.
  double sweep(const Unary &unary);

  /// Costs of a variable's strategies after the moves. Their excess over the least bounds how much a plan with that strategy
  /// must exceed the bound of the last sweep.
  void moved(const Unary &unary, int32_t variable, std::vector<double> &costs) const;

  /// A choice made variable by variable; it may be forbidden.
  std::vector<int32_t> decode(const Unary &unary) const;

  const State &state() const { return messages; }
  void restore(State state) { messages = std::move(state); }

  /// Additions of one sweep.
  double work() const { return sweepWork; }

private:
  void pull(int32_t arc, int side);
  void push(int32_t arc, int side, const std::vector<double> &costs, double least, double share);
  double pass(const Unary &unary, bool forward);

  const Model &model;
  State messages;
  std::map<const Table *, std::vector<double>> transposed;
  std::vector<const double *> byOther[2]; ///< Per side and arc: the table with that side's classes fastest.
  std::vector<double> scratch;
  std::vector<const double *> rows;
  double sweepWork = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_MESSAGES_H
