#include "Powers.h"

namespace mpopt::search {

Powers::Powers(const LayerTable &table, int states, int64_t held, double limit, size_t points)
    : states(states), limit(limit), points(points), powers(1) {
  for (const std::vector<LayerWay> &ways : table.ways) {
    Frontier trades;
    for (size_t way = 0; way < ways.size(); ++way)
      trades.push_back({ways[way].stateBytes + static_cast<double>(held) * ways[way].heldBytes, ways[way].seconds, 0, 0,
                        static_cast<int32_t>(way)});
    reduce(trades, limit, points);
    powers[0].push_back(std::move(trades));
  }
}

void Powers::square() {
  const std::vector<Frontier> &half = powers.back();
  std::vector<Frontier> whole(half.size());
  for (int in = 0; in < states; ++in)
    for (int out = 0; out < states; ++out) {
      Frontier &trades = whole[in * states + out];
      for (int middle = 0; middle < states; ++middle)
        addProducts(trades, half[in * states + middle], half[middle * states + out], middle, limit);
      reduce(trades, limit, points);
    }
  powers.push_back(std::move(whole));
}

void Powers::unfold(int exponent, int in, int out, int32_t trade, std::vector<LayerChoice> &layers) const {
  const Trade &made = powers[exponent][in * states + out][trade];
  if (exponent == 0) {
    layers.push_back({in, out, made.right});
    return;
  }
  unfold(exponent - 1, in, made.middle, made.left, layers);
  unfold(exponent - 1, made.middle, out, made.right, layers);
}

} // namespace mpopt::search
