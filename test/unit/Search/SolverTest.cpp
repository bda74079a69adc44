#include "mpopt/Search/Solver.h"
#include "Exhaustive.h"
#include "RandomProblem.h"
#include "TransformerProblem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt::search;
using testing::HasSubstr;

namespace {

/// Compares with exhaustive search; returns whether the solver called its
/// answer optimal.
bool compare(const Problem &problem, const SolveOptions &options = {}) {
  Exhaustive best = tryAll(problem);
  auto solution = solve(problem, options);
  if (best.cost == kForbidden) {
    EXPECT_FALSE(solution.has_value());
    return true;
  }
  EXPECT_TRUE(solution.has_value()) << solution.error().message;
  if (!solution)
    return false;
  EXPECT_TRUE(verify(problem, *solution).has_value()) << verify(problem, *solution).error().message;
  double rounding = 1e-9 * (1 + std::abs(best.cost));
  EXPECT_LE(solution->lowerBound, best.cost + rounding);
  EXPECT_GE(solution->cost, best.cost - rounding);
  if (solution->optimal)
    EXPECT_NEAR(solution->cost, best.cost, rounding);
  return solution->optimal;
}

TEST(Solver, EqualsExhaustiveSearchWithoutALimit) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    RandomShape shape;
    shape.nodes = 1 + int64_t(seed % 7), shape.edges = int64_t(seed % 13), shape.memory = false;
    shape.forbiddenPercent = int64_t(seed % 4) * 12, shape.classes = int64_t(seed % 3);
    SCOPED_TRACE(seed);
    EXPECT_TRUE(compare(randomProblem(seed, shape)));
  }
}

TEST(Solver, EqualsExhaustiveSearchUnderALimit) {
  for (uint64_t seed = 0; seed < 600; ++seed) {
    RandomShape shape;
    shape.nodes = 1 + int64_t(seed % 7), shape.edges = int64_t(seed % 11),
    shape.forbiddenPercent = int64_t(seed % 3) * 10;
    SCOPED_TRACE(seed);
    EXPECT_TRUE(compare(randomProblem(seed + 1000, shape)));
  }
}

TEST(Solver, EmptyProblemsAndSingleNodes) {
  Problem empty;
  auto solution = solve(empty);
  ASSERT_TRUE(solution.has_value());
  EXPECT_EQ(solution->cost, 0);
  EXPECT_TRUE(solution->optimal);
  Problem one;
  one.nodes.push_back({"a", {3, 1, 2}, {}});
  EXPECT_EQ(solve(one)->choice, std::vector<int32_t>{1});
  one.nodes[0].costs = {3, -1, 2};
  EXPECT_EQ(solve(one)->cost, -1);
}

TEST(Solver, MalformedProblemsAreErrors) {
  Problem problem;
  problem.nodes.push_back({"a", {}, {}});
  EXPECT_THAT(solve(problem).error().message, HasSubstr("no strategies"));
}

TEST(Solver, ForbiddenEverywhereNamesTheNode) {
  Problem problem;
  problem.nodes.push_back({"left", {1, 2}, {}});
  problem.nodes.push_back({"right", {1}, {}});
  problem.matrices.push_back({2, 1, {kForbidden, kForbidden}});
  problem.edges.push_back({0, 1, 0});
  EXPECT_THAT(solve(problem).error().message, testing::AnyOf(HasSubstr("'left'"), HasSubstr("'right'")));
}

TEST(Solver, PairwiseConsistentButImpossibleIsAnError) {
  Problem triangle; // three nodes, two colours, all different
  triangle.matrices.push_back({2, 2, {kForbidden, 0, 0, kForbidden}});
  for (int i = 0; i < 3; ++i) {
    triangle.nodes.push_back({"n", {0, 0}, {}});
    triangle.edges.push_back({i, (i + 1) % 3, 0});
  }
  EXPECT_THAT(solve(triangle).error().message, HasSubstr("no allowed combination"));
}

TEST(Solver, TooSmallALimitSaysHowMuchIsNeeded) {
  int told = 0, infeasible = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomShape shape;
    shape.forbiddenPercent = 5;
    Problem problem = randomProblem(seed, shape);
    Exhaustive best = tryAll(problem);
    if (best.leastPeak == std::numeric_limits<int64_t>::max() || best.leastPeak == 0)
      continue;
    problem.usageLimit = best.leastPeak - 1;
    auto solution = solve(problem);
    ASSERT_FALSE(solution.has_value()) << seed;
    EXPECT_THAT(solution.error().message, HasSubstr("memory limit of " + std::to_string(best.leastPeak - 1)));
    ++infeasible;
    told += solution.error().message.find(std::to_string(best.leastPeak) + ";") != std::string::npos;
    problem.usageLimit = best.leastPeak;
    EXPECT_TRUE(compare(problem)) << seed;
  }
  EXPECT_GT(infeasible, 100);
  EXPECT_GT(told, infeasible * 9 / 10) << "of " << infeasible;
}

TEST(Solver, AGapStopsEarlyAndIsKept) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Problem problem = randomProblem(seed + 5000, {});
    Exhaustive best = tryAll(problem);
    auto solution = solve(problem, {.gap = 0.2});
    ASSERT_EQ(solution.has_value(), best.cost != kForbidden);
    if (!solution)
      continue;
    EXPECT_LE(solution->lowerBound, best.cost + 1e-9);
    EXPECT_LE(solution->cost, 1.26 * best.cost + 1e-9) << seed; // gap is counted from the plan's cost
  }
}

TEST(Solver, TransformersAreSolvedExactly) {
  TransformerProblem transformer(12, 4);
  auto solution = solve(transformer.problem);
  ASSERT_TRUE(solution.has_value());
  EXPECT_TRUE(solution->optimal);
  EXPECT_TRUE(verify(transformer.problem, *solution).has_value());
  RecordProperty("milliseconds", int(solution->seconds * 1e3));
  transformer.problem.usageLimit = solution->peak / 2;
  auto tight = solve(transformer.problem, {.timeLimit = 1});
  ASSERT_TRUE(tight.has_value());
  EXPECT_TRUE(verify(transformer.problem, *tight).has_value());
  EXPECT_GT(tight->cost, solution->cost);
  EXPECT_LT(tight->cost, 1.02 * tight->lowerBound);
}

TEST(Solver, SameInputSameAnswer) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    RandomShape shape;
    shape.nodes = 30, shape.strategies = 12, shape.edges = 45, shape.forbiddenPercent = 0;
    Problem problem = randomProblem(seed, shape);
    problem.usageLimit = 600;
    auto first = solve(problem, {.timeLimit = 0.2}), second = solve(problem, {.timeLimit = 0.2});
    ASSERT_EQ(first.has_value(), second.has_value());
    if (!first)
      continue;
    EXPECT_EQ(first->choice, second->choice);
    EXPECT_EQ(first->lowerBound, second->lowerBound);
    EXPECT_TRUE(verify(problem, *first).has_value());
  }
}

} // namespace
