#include "Exhaustive.h"
#include "Model.h"
#include "RandomProblem.h"

#include <gtest/gtest.h>

using namespace mpopt::search;

namespace {

/// Cost that only equal strategies are allowed to have.
Matrix equalOnly(int32_t size, double cost) {
  Matrix matrix{size, size, std::vector<double>(size_t(size * size), kForbidden)};
  for (int32_t s = 0; s < size; ++s)
    matrix.values[size_t(s * size + s)] = cost;
  return matrix;
}

TEST(Reduce, NodesThatFollowFromOneAnotherBecomeOne) {
  Problem problem;
  for (int32_t i = 0; i < 6; ++i)
    problem.nodes.push_back({"n", {double(i), 4, 5.0 - i}, {{{i, i + 2}, {3, 2, 1}}}});
  problem.matrices.push_back(equalOnly(3, 1));
  for (int32_t i = 0; i < 6; ++i)
    problem.edges.push_back({i, (i + 1) % 6, 0});
  problem.usageLimit = 5;
  auto model = reduce(problem);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  EXPECT_LE(model->variables.size(), 1u);
  std::vector<int32_t> choice = model->expand(std::vector<int32_t>(model->variables.size(), 0));
  EXPECT_EQ(std::count(choice.begin(), choice.end(), choice[0]), 6);
  EXPECT_EQ(totalCost(problem, choice), model->cost(std::vector<int32_t>(model->variables.size(), 0)));
}

TEST(Reduce, NodesWithoutMemoryGoWhereTheyHaveTwoNeighbours) {
  Random random(1);
  RandomShape shape;
  shape.forbiddenPercent = 0;
  Problem problem;
  for (int32_t i = 0; i < 9; ++i) { // a chain in which every fourth node has memory
    problem.nodes.push_back({"n", {1, 2, 3, 4}, {}});
    if (i % 4 == 0)
      problem.nodes.back().usages = {{{0, 1}, {40, 30, 20, 10}}};
    problem.matrices.push_back(randomMatrix(random, shape, 4, 4));
    if (i > 0)
      problem.edges.push_back({i - 1, i, i});
  }
  problem.usageLimit = 70;
  auto model = reduce(problem);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  EXPECT_LE(model->variables.size(), 3u);
  EXPECT_LE(model->room.size(), 1u);
}

/// Every plan of the model must be one of the problem, at the same cost, and the best must be among them.
void compare(const Problem &problem, int &reduced) {
  Exhaustive best = tryAll(problem);
  auto model = reduce(problem);
  if (!model) {
    EXPECT_EQ(best.cost, kForbidden);
    return;
  }
  reduced += model->variables.size() < problem.nodes.size();
  double least = kForbidden;
  std::vector<int32_t> choice(model->variables.size(), 0);
  for (bool more = true; more;) {
    std::vector<int32_t> whole = model->expand(choice);
    double cost = model->cost(choice);
    if (cost != kForbidden) {
      EXPECT_NEAR(totalCost(problem, whole), cost, 1e-9);
      bool fits = !problem.usageLimit || peakUsage(problem, whole) <= *problem.usageLimit;
      EXPECT_EQ(model->fits(choice), fits);
      if (fits)
        least = std::min(least, cost);
    }
    more = false;
    for (size_t v = 0; v < choice.size() && !more; ++v) {
      more = ++choice[v] < model->variables[v].size();
      if (!more)
        choice[v] = 0;
    }
  }
  if (best.cost == kForbidden)
    EXPECT_EQ(least, kForbidden);
  else
    EXPECT_NEAR(least, best.cost, 1e-9);
}

TEST(Reduce, KeepsABestPlanAndAllCosts) {
  int reduced = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    RandomShape shape;
    shape.nodes = 2 + int64_t(seed % 6), shape.edges = 1 + int64_t(seed % 9);
    shape.forbiddenPercent = int64_t(seed % 6) * 12, shape.classes = int64_t(seed % 4),
    shape.times = 3 + int64_t(seed % 8);
    SCOPED_TRACE(seed);
    compare(randomProblem(seed + 40000, shape), reduced);
  }
  EXPECT_GT(reduced, 100);
}

} // namespace
