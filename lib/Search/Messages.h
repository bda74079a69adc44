#ifndef MPOPT_LIB_SEARCH_MESSAGES_H
#define MPOPT_LIB_SEARCH_MESSAGES_H

#include "Flat.h"

namespace mpopt::search {

/// Sequential tree-reweighted message passing (Kolmogorov 2006, in the form of Kolmogorov 2015): moves cost between arcs and
/// variables without changing any plan's cost, so that the sum of the variables' least costs, a bound, never falls.
class Messages {
public:
  /// Cost moved from each arc to each of its ends, per strategy of that end; kForbidden where no pair is allowed.
  using State = std::vector<double>;

  explicit Messages(const Flat &flat);

  /// One pass forward and one backward through the variables. Returns the bound: no choice costs less in `unary` plus arcs.
  double sweep(const FlatCosts &unary);

  /// Costs of a variable's strategies after the moves. Their excess over the least bounds how much a plan with that strategy
  /// must exceed the bound of the last sweep. Padding is kForbidden.
  void moved(const FlatCosts &unary, int32_t variable, std::vector<double> &costs) const;

  /// A choice made variable by variable; it may be forbidden.
  std::vector<int32_t> decode(const FlatCosts &unary) const;

  const State &state() const { return messages; }
  void restore(State state) { messages = std::move(state); }
  /// What was moved to `variable` from the arc of its link `link`.
  const double *message(const State &state, int32_t variable, size_t link) const {
    return state.data() + starts[size_t(variable)] + int64_t(link) * flat.padded(variable);
  }

  /// Additions of one sweep.
  double work() const { return sweepWork; }

private:
  double *message(int32_t variable, size_t link) {
    return messages.data() + starts[size_t(variable)] + int64_t(link) * flat.padded(variable);
  }
  void pull(int32_t variable, size_t link);
  double pass(const FlatCosts &unary, bool forward);

  const Flat &flat;
  State messages;
  std::vector<int64_t> starts; ///< Per variable, in `messages`.
  std::vector<double> scratch;
  std::vector<const double *> rows;
  double sweepWork = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_MESSAGES_H
