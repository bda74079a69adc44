#ifndef MPOPT_TEST_FUZZ_RANDOM_H
#define MPOPT_TEST_FUZZ_RANDOM_H

#include "llvm/ADT/ArrayRef.h"
#include <random>

namespace mpopt::fuzz {

/// Random choices that are the same on every machine (the standard's distributions are not).
class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}

  /// In [0, count).
  int64_t below(int64_t count) { return static_cast<int64_t>(engine() % static_cast<uint64_t>(count)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <typename Range> auto &pick(Range &&range) { return range[below(static_cast<int64_t>(range.size()))]; }

private:
  std::mt19937_64 engine;
};

} // namespace mpopt::fuzz

#endif // MPOPT_TEST_FUZZ_RANDOM_H
