#ifndef MPOPT_LIB_SEARCH_NEIGHBOURHOOD_H
#define MPOPT_LIB_SEARCH_NEIGHBOURHOOD_H

#include "Prices.h"
#include "Routes.h"

#include <random>

namespace mpopt::search {

/// Large-neighbourhood search: frees a ball of variables, minimises over them exactly at some prices, keeps what is better.
class NeighbourhoodSearch {
public:
  /// `penalty`: what a forbidden pair counts while there is no allowed plan; more than any allowed plan costs.
  NeighbourhoodSearch(const Model &model, const Prices &prices, std::vector<int32_t> start, double penalty,
                      uint64_t seed);

  /// One neighbourhood. Offers every plan that fits to `outcome`.
  void step(Outcome &outcome, Budget &budget);

private:
  std::vector<int32_t> ball(size_t size);
  Unary heldCosts(const std::vector<int32_t> &free, const std::vector<double> &factors) const;
  /// Cost with penalties for forbidden pairs and overfull rows: decides while no plan fits.
  double merit(const std::vector<int32_t> &choice) const;
  bool tryFactor(Elimination &elimination, const std::vector<int32_t> &free, const std::vector<double> &factors,
                 Outcome &outcome);
  void raisePrices(const std::vector<int32_t> &choice);
  uint64_t below(uint64_t n) { return random() % n; }

  const Model &model;
  Prices prices;
  std::vector<int32_t> current;
  double penalty;
  double currentMerit;
  std::mt19937_64 random;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_NEIGHBOURHOOD_H
