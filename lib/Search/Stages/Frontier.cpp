#include "Frontier.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace mpopt::search {

void reduce(Frontier &trades, double limit, size_t points) {
  std::sort(trades.begin(), trades.end(), [](const Trade &a, const Trade &b) {
    return std::tie(a.bytes, a.seconds, a.middle, a.left, a.right) <
           std::tie(b.bytes, b.seconds, b.middle, b.left, b.right);
  });
  double fastest = std::numeric_limits<double>::infinity();
  size_t kept = 0;
  for (const Trade &trade : trades)
    if (trade.bytes <= limit && trade.seconds < fastest) {
      fastest = trade.seconds;
      trades[kept++] = trade;
    }
  trades.resize(kept);
  if (kept <= points)
    return;
  for (size_t i = 0; i < points; ++i)
    trades[i] = trades[i * (kept - 1) / (points - 1)];
  trades.resize(points);
}

void addProducts(Frontier &sums, const Frontier &left, const Frontier &right, int32_t middle, double limit) {
  for (size_t i = 0; i < left.size(); ++i)
    for (size_t j = 0; j < right.size() && left[i].bytes + right[j].bytes <= limit; ++j)
      sums.push_back({left[i].bytes + right[j].bytes, left[i].seconds + right[j].seconds, middle,
                      static_cast<int32_t>(i), static_cast<int32_t>(j)});
}

double fastestWithin(const Frontier &trades, double bytes) {
  auto after = std::upper_bound(trades.begin(), trades.end(), bytes,
                                [](double value, const Trade &trade) { return value < trade.bytes; });
  return after == trades.begin() ? std::numeric_limits<double>::infinity() : std::prev(after)->seconds;
}

} // namespace mpopt::search
