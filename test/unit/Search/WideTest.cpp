#include "Messages.h"
#include "RandomProblem.h"
#include "Routes.h"
#include "mpopt/Search/Solver.h"

#include <gtest/gtest.h>

using namespace mpopt::search;

namespace {

/// The exact route is the reference: SolverTest compares it with exhaustive search.
void compareRoutes(const Problem &problem, int &equal, int &solved) {
  auto model = reduce(problem);
  if (!model || model->variables.empty())
    return;
  auto exact = solve(problem);
  Budget budget{3e7};
  Outcome outcome = searchWidely(*model, budget, 1);
  if (!exact) {
    EXPECT_FALSE(outcome.found());
    return;
  }
  ASSERT_TRUE(exact->optimal);
  ++solved;
  double rounding = 1e-9 * (1 + std::abs(exact->cost));
  EXPECT_LE(outcome.bound, exact->cost + rounding);
  if (!outcome.found())
    return;
  EXPECT_GE(outcome.cost, exact->cost - rounding);
  EXPECT_TRUE(model->fits(outcome.choice));
  EXPECT_NEAR(model->cost(outcome.choice), outcome.cost, rounding);
  equal += outcome.cost <= exact->cost + rounding;
}

TEST(Wide, BoundsHoldAndPlansAreMostlyTheBest) {
  int equal = 0, solved = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    RandomShape shape;
    shape.nodes = 3 + int64_t(seed % 6), shape.edges = 4 + int64_t(seed % 14),
    shape.forbiddenPercent = int64_t(seed % 3) * 4;
    shape.memory = seed % 2;
    SCOPED_TRACE(seed);
    compareRoutes(randomProblem(seed + 9000, shape), equal, solved);
  }
  EXPECT_GT(equal, solved * 8 / 10) << "of " << solved;
}

TEST(Wide, DenseGraphsGetAPlanABoundAndTheSameTwice) {
  RandomShape shape;
  shape.nodes = 60, shape.strategies = 24, shape.edges = 500, shape.forbiddenPercent = 0;
  Problem problem = randomProblem(3, shape);
  for (std::optional<int64_t> limit : {std::optional<int64_t>(), std::optional<int64_t>(1500)}) {
    problem.usageLimit = limit;
    auto first = solve(problem, {.timeLimit = 0.3}), second = solve(problem, {.timeLimit = 0.3});
    ASSERT_TRUE(first.has_value()) << first.error().message;
    EXPECT_TRUE(verify(problem, *first).has_value());
    EXPECT_GT(first->lowerBound, 0);
    EXPECT_EQ(first->choice, second->choice);
    EXPECT_EQ(first->lowerBound, second->lowerBound);
  }
}

TEST(Messages, BoundNeverFallsAndIsExactOnTrees) {
  RandomShape shape;
  shape.nodes = 8, shape.edges = 0, shape.forbiddenPercent = 0, shape.memory = false;
  Problem problem = randomProblem(11, shape);
  Random random(5);
  for (int32_t i = 1; i < 8; ++i) {
    int32_t parent = int32_t(random.below(i));
    problem.edges.push_back({parent, i, int32_t(problem.matrices.size())});
    problem.matrices.push_back(randomMatrix(random, shape, int32_t(problem.nodes[size_t(parent)].costs.size()),
                                            int32_t(problem.nodes[size_t(i)].costs.size())));
  }
  auto model = reduce(problem);
  ASSERT_TRUE(model.has_value());
  Flat flat(*model);
  Messages messages(flat);
  FlatCosts unary;
  flat.priced({}, unary);
  double last = -kForbidden;
  for (int i = 0; i < 50; ++i) {
    double bound = messages.sweep(unary) + model->constant;
    EXPECT_GE(bound, last - 1e-9);
    last = bound;
  }
  EXPECT_NEAR(last, solve(problem)->cost, 1e-6);
}

} // namespace
