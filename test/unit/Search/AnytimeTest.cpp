#include "Exhaustive.h"
#include "RandomProblem.h"
#include "mpopt/Search/Solver.h"

#include <gtest/gtest.h>

using namespace mpopt::search;

namespace {

Problem integral(Problem problem) {
  for (Node &node : problem.nodes)
    for (double &cost : node.costs)
      cost *= 8;
  for (Matrix &matrix : problem.matrices)
    for (double &cost : matrix.values)
      cost *= 8;
  return problem;
}

TEST(Anytime, EqualsExhaustiveSearchOnEveryNumberOfThreads) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomShape shape;
    shape.nodes = 1 + int64_t(seed % 7), shape.edges = int64_t(seed % 11);
    shape.forbiddenPercent = int64_t(seed % 4) * 10, shape.memory = seed % 5 != 0;
    SCOPED_TRACE(seed);
    Problem problem = integral(randomProblem(seed + 20000, shape));
    Exhaustive best = tryAll(problem);
    AnytimeOptions options;
    options.seconds = 20, options.threads = 1 + int(seed % 2), options.seed = seed;
    auto solution = solveAnytime(problem, options);
    ASSERT_EQ(solution.has_value(), best.cost != kForbidden);
    if (!solution)
      continue;
    EXPECT_TRUE(verify(problem, *solution).has_value());
    EXPECT_TRUE(solution->optimal);
    EXPECT_EQ(solution->cost, best.cost);
    EXPECT_EQ(solution->lowerBound, best.cost);
  }
}

/// Too dense to eliminate: only the search in balls can answer.
Problem dense() {
  RandomShape shape;
  shape.nodes = 60, shape.strategies = 24, shape.edges = 500, shape.forbiddenPercent = 0;
  Problem problem = integral(randomProblem(3, shape));
  problem.usageLimit = 1500;
  return problem;
}

TEST(Anytime, AStoppedSearchReturnsTheBestPlanSoFar) {
  Problem problem = dense();
  std::atomic<bool> stop = false;
  AnytimeOptions options;
  options.seconds = 600, options.threads = 2, options.stop = &stop;
  options.onProgress = [&](const Progress &progress) {
    if (progress.cost != kForbidden)
      stop = true;
  };
  auto solution = solveAnytime(problem, options);
  ASSERT_TRUE(solution.has_value()) << solution.error().message;
  EXPECT_TRUE(verify(problem, *solution).has_value());
  EXPECT_FALSE(solution->optimal);
}

TEST(Anytime, ProgressOnlyGetsBetter) {
  Problem problem = dense();
  std::atomic<bool> stop = false;
  Progress last;
  int calls = 0;
  AnytimeOptions options;
  options.seconds = 600, options.threads = 2, options.stop = &stop;
  options.onProgress = [&](const Progress &progress) {
    EXPECT_LE(progress.cost, last.cost);
    EXPECT_GE(progress.lowerBound, last.lowerBound);
    last = progress;
    stop = ++calls >= 3 && progress.cost != kForbidden;
  };
  auto solution = solveAnytime(problem, options);
  ASSERT_TRUE(solution.has_value()) << solution.error().message;
  EXPECT_GE(calls, 3);
  EXPECT_EQ(solution->cost, last.cost);
  EXPECT_EQ(solution->lowerBound, last.lowerBound);
}

TEST(Anytime, TooLittleMemoryIsAnError) {
  Problem problem;
  problem.nodes.push_back({"a", {1, 2}, {{{0, 1}, {5, 6}}}});
  problem.usageLimit = 4;
  EXPECT_FALSE(solveAnytime(problem, {}).has_value());
}

} // namespace
