#include "Prices.h"

namespace mpopt::search {

std::vector<double> sumBefore(const Prices &prices) {
  std::vector<double> sums(prices.size() + 1, 0.0);
  for (size_t row = 0; row < prices.size(); ++row)
    sums[row + 1] = sums[row] + prices[row];
  return sums;
}

double memoryPrice(const Variable &variable, size_t strategy, const std::vector<double> &pricesBefore) {
  double price = 0;
  for (const Use &use : variable.uses)
    price += double(use.usages[strategy]) * (pricesBefore[size_t(use.last)] - pricesBefore[size_t(use.first)]);
  return price;
}

Unary pricedCosts(const Model &model, const Prices &prices) {
  std::vector<double> before = sumBefore(prices);
  Unary unary(model.variables.size());
  for (size_t v = 0; v < unary.size(); ++v) {
    const Variable &variable = model.variables[v];
    unary[v] = variable.costs;
    for (size_t s = 0; s < variable.costs.size(); ++s)
      unary[v][s] += memoryPrice(variable, s, before);
  }
  return unary;
}

double roomPrice(const Model &model, const Prices &prices) {
  double price = 0;
  for (size_t row = 0; row < prices.size(); ++row)
    price += prices[row] * double(model.room[row]);
  return price;
}

} // namespace mpopt::search
