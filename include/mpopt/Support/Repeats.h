#ifndef MPOPT_SUPPORT_REPEATS_H
#define MPOPT_SUPPORT_REPEATS_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace mpopt {

/// A stretch that occurs `count` times in a row, each time `period` items long.
struct Repeat {
  size_t begin = 0, period = 0, count = 1;
  size_t end() const { return begin + period * count; }
};

/// Finds what repeats in a list, such as the layers of a model: items are equal where their numbers are.
class RepeatFinder {
public:
  /// `accepts(begin, period)`: whether what begins there counts as a block. `fit(begin, period)`: how well a block's borders lie there; where
  /// several would do, the repeats begin where the sum over the blocks is largest, the first of equal ones.
  RepeatFinder(std::span<const uint64_t> items, std::function<bool(size_t, size_t)> accepts,
               std::function<double(size_t, size_t)> fit)
      : items(items), accepts(std::move(accepts)), fit(std::move(fit)) {}

  /// Repeats of at least 2, none inside of another, in order: the one that covers most first, then what is left of it on both sides. Takes
  /// time of n * min(n, 4096) comparisons of items.
  std::vector<Repeat> run() {
    find(0, items.size());
    return found;
  }

private:
  static constexpr size_t kLeast = 3, kMost = 4096;

  void find(size_t low, size_t high) {
    Repeat best;
    size_t length = 0;
    for (size_t period = kLeast; period <= std::min((high - low) / 2, kMost); ++period)
      for (size_t i = low, run = 0; i + period <= high; ++i) {
        if (i + period < high && items[i] == items[i + period]) {
          ++run;
          continue;
        }
        size_t count = (run + period) / period, begin = i - run;
        if (count >= 2 && count * period > (best.count > 1 ? best.count * best.period : 0) && accepts(begin, period)) {
          best = {begin, period, count};
          length = run + period;
        }
        run = 0;
      }
    if (best.count < 2)
      return;
    align(best, length);
    find(low, best.begin);
    found.push_back(best);
    find(best.end(), high);
  }

  void align(Repeat &repeat, size_t length) const {
    double most = -1;
    size_t first = repeat.begin;
    for (size_t begin = first; begin + repeat.period * repeat.count <= first + length; ++begin) {
      double sum = 0;
      for (size_t block = 0; block < repeat.count; ++block)
        sum += fit(begin + block * repeat.period, repeat.period);
      if (sum > most) {
        most = sum;
        repeat.begin = begin;
      }
    }
  }

  std::span<const uint64_t> items;
  std::function<bool(size_t, size_t)> accepts;
  std::function<double(size_t, size_t)> fit;
  std::vector<Repeat> found;
};

} // namespace mpopt

#endif // MPOPT_SUPPORT_REPEATS_H
