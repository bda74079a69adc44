#include "Prices.h"
#include "Routes.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

/// Exponentiated gradient over weights of the rows, at prices so high that
/// costs only break ties.
int64_t leastExcess(const Model &model, Elimination &all, Budget &budget) {
  constexpr int kIterations = 60;
  double scale = 1;
  for (const Variable &variable : model.variables)
    for (double cost : variable.costs)
      scale += std::abs(cost);
  for (const Arc &arc : model.arcs)
    for (double value : arc.table->values)
      scale += value == kForbidden ? 0 : std::abs(value);
  size_t rows = model.room.size();
  std::vector<double> weights(rows, 1.0 / double(rows));
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int i = 0; i < kIterations && !budget.over(); ++i) {
    Prices prices = weights;
    for (double &price : prices)
      price *= scale;
    std::vector<int32_t> choice(model.variables.size(), 0);
    budget.spend(all.work());
    if (all.solve(pricedCosts(model, prices), choice) == kForbidden)
      return least;
    std::vector<int64_t> used = model.usage(choice);
    int64_t worst = std::numeric_limits<int64_t>::min();
    for (size_t row = 0; row < rows; ++row)
      worst = std::max(worst, used[row] - model.room[row]);
    least = std::min(least, worst);
    double sum = 0, rate = 2.0 / std::sqrt(1.0 + i);
    double size = std::max(1.0, double(*std::max_element(used.begin(), used.end())));
    for (size_t row = 0; row < rows; ++row)
      sum += weights[row] *= std::exp(rate * double(used[row] - model.room[row] - worst) / size * 10);
    for (double &weight : weights)
      weight = std::max(weight / sum, 1e-12);
  }
  return least;
}

} // namespace mpopt::search
