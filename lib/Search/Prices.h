#ifndef MPOPT_LIB_SEARCH_PRICES_H
#define MPOPT_LIB_SEARCH_PRICES_H

#include "Model.h"

namespace mpopt::search {

/// Per variable and strategy.
using Unary = std::vector<std::vector<double>>;

/// Prices per row and unit of memory turn the limit into costs: for any prices
/// >= 0 the least priced cost, less the price of all room, bounds the cost of
/// every plan that fits.
using Prices = std::vector<double>;

/// Costs of the strategies with their memory at the given prices.
Unary pricedCosts(const Model &model, const Prices &prices);

/// Price of all room: what to subtract from the least priced cost.
double roomPrice(const Model &model, const Prices &prices);

/// Price of the memory of one strategy.
double memoryPrice(const Variable &variable, size_t strategy, const std::vector<double> &pricesBefore);

/// pricesBefore[r] = sum of the prices of the rows before r; one entry more
/// than rows.
std::vector<double> sumBefore(const Prices &prices);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_PRICES_H
