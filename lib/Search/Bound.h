#ifndef MPOPT_LIB_SEARCH_BOUND_H
#define MPOPT_LIB_SEARCH_BOUND_H

#include "Messages.h"
#include "Meter.h"
#include "Walk.h"

namespace mpopt::search {

/// Raises a lower bound by message passing, with prices for memory by exponentiated gradient.
class BoundSearch {
public:
  /// Fractions of 2^-40.
  __extension__ typedef __int128 Fixed;

  /// `prices` may be those of another model with the same rows; empty to start from nothing.
  BoundSearch(const Flat &flat, const Prices &prices);

  /// Sweeps until the meter passes `until` or the bound reaches `enough`. Rates are those of a first or of a later run.
  void run(Meter &meter, double until, double enough, bool first);

  double bound() const { return bestBound; }
  const Prices &prices() const { return bestPrices; }

  /// The plan of least merit that was read off the messages.
  const std::vector<int32_t> &choice() const { return bestChoice; }
  bool found() const { return !bestChoice.empty(); }

  /// The bound once more, in integers, at prices and messages rounded to fractions of 2^-40: valid whatever the rounding of
  /// the search. Needs integral costs (below 2^53).
  double certified() const;

  /// Per variable and strategy whether a plan that costs at most `cost` may use it.
  std::vector<std::vector<char>> survivors(double cost, size_t &removed);

private:
  void updatePrices(const std::vector<int64_t> &used, double rate, double tighten);
  void offer(const std::vector<int32_t> &choice);
  Fixed leastLeft(int32_t variable, size_t link) const;

  const Flat &flat;
  Messages messages;
  Prices current, bestPrices;
  FlatCosts unary;
  Messages::State bestState;
  double bestBound = -kForbidden;
  std::vector<int32_t> bestChoice;
  Merit bestMerit;
  double scale = 1; ///< The most room of a row.
};

/// Whether all costs of a model are integers that doubles hold exactly.
bool isIntegral(const Model &model);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_BOUND_H
