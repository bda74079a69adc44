#ifndef MPOPT_TEST_UNIT_SEARCH_RANDOMPROBLEM_H
#define MPOPT_TEST_UNIT_SEARCH_RANDOMPROBLEM_H

#include "mpopt/Search/Problem.h"

#include <random>

namespace mpopt::search {

/// A source of numbers that is the same with every standard library.
class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}
  /// 0 .. n-1
  int64_t below(int64_t n) { return int64_t(engine() % uint64_t(n)); }
  bool chance(int64_t percent) { return below(100) < percent; }

private:
  std::mt19937_64 engine;
};

struct RandomShape {
  int64_t nodes = 5, strategies = 4, edges = 7, forbiddenPercent = 10, times = 6;
  bool memory = true;
  int64_t classes = 0; ///< > 0: matrices see strategies only through that many classes.
};

inline Matrix randomMatrix(Random &random, const RandomShape &shape, int32_t rows, int32_t cols) {
  Matrix matrix{rows, cols, std::vector<double>(size_t(rows) * size_t(cols))};
  std::vector<double> base(size_t(rows * cols));
  for (double &value : base)
    value = random.chance(shape.forbiddenPercent) ? kForbidden : double(random.below(50)) / 8;
  for (int32_t r = 0; r < rows; ++r)
    for (int32_t c = 0; c < cols; ++c) {
      int64_t m = shape.classes > 0 ? shape.classes : std::max(rows, cols);
      matrix.values[size_t(r * cols + c)] = base[size_t(r % m * cols + c % m)];
    }
  return matrix;
}

inline Problem randomProblem(uint64_t seed, const RandomShape &shape) {
  Random random(seed);
  Problem problem;
  for (int64_t i = 0; i < shape.nodes; ++i) {
    Node node;
    node.name = "n" + std::to_string(i);
    int64_t size = 1 + random.below(shape.strategies);
    for (int64_t s = 0; s < size; ++s)
      node.costs.push_back(random.chance(shape.forbiddenPercent / 2) ? kForbidden : double(random.below(80)) / 8);
    for (int64_t u = random.below(3); u > 0; --u) {
      int64_t first = random.below(shape.times);
      UsageComponent component{{first, first + random.below(shape.times - first + 1)}, {}};
      for (int64_t s = 0; s < size; ++s)
        component.usages.push_back(random.below(100));
      node.usages.push_back(component);
    }
    problem.nodes.push_back(node);
  }
  for (int64_t e = 0; e < shape.edges && shape.nodes > 1; ++e) {
    int32_t from = int32_t(random.below(shape.nodes)), to = int32_t(random.below(shape.nodes - 1));
    to += to >= from;
    problem.edges.push_back({from, to, int32_t(problem.matrices.size())});
    problem.matrices.push_back(randomMatrix(random, shape, int32_t(problem.nodes[size_t(from)].costs.size()),
                                            int32_t(problem.nodes[size_t(to)].costs.size())));
  }
  if (shape.memory)
    problem.usageLimit = 60 + random.below(150);
  return problem;
}

} // namespace mpopt::search

#endif // MPOPT_TEST_UNIT_SEARCH_RANDOMPROBLEM_H
