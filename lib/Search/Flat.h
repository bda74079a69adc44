#ifndef MPOPT_LIB_SEARCH_FLAT_H
#define MPOPT_LIB_SEARCH_FLAT_H

#include "Prices.h"

namespace mpopt::search {

/// A number per variable and strategy, in one piece: see Flat::starts.
using FlatCosts = std::vector<double>;

/// A model laid out for searches that touch it many times: tables per strategy instead of per class, from both ends, with
/// rows of whole vectors.
struct Flat {
  explicit Flat(const Model &model);

  struct Link {
    int32_t other; ///< The variable at the other end.
    int32_t arc;
    int32_t reverse;     ///< Place of this arc among the links of `other`.
    const double *table; ///< Row per own strategy, column per strategy of the other end.
    const double *back;  ///< Row per strategy of the other end, column per own strategy.
  };

  int32_t size(int32_t variable) const { return sizes[size_t(variable)]; }
  int32_t padded(int32_t variable) const { return (size(variable) + 3) / 4 * 4; }
  /// Cost of the arc with each strategy of the other end, padded with kForbidden.
  const double *row(const Link &link, int32_t own) const { return link.table + int64_t(own) * padded(link.other); }

  /// Costs of the strategies with their memory at the given prices; padding is kForbidden.
  void priced(const Prices &prices, FlatCosts &costs) const;

  const Model &model;
  std::vector<int32_t> sizes;
  std::vector<int64_t> starts;          ///< Per variable: where its strategies start in FlatCosts; one more: the end.
  std::vector<std::vector<Link>> links; ///< Per variable.

private:
  std::vector<std::vector<double>> tables; ///< Equal ones once.
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_FLAT_H
