#include "Linking.h"
#include "RandomProblem.h"
#include "TransformerProblem.h"
#include "mpopt/Search/Solver.h"

#include <gtest/gtest.h>

using namespace mpopt::search;

namespace {

/// Copies of a random problem in a row, each joined to the next.
Problem repeated(uint64_t seed, int64_t copies) {
  RandomShape shape;
  shape.forbiddenPercent = 0;
  Problem part = randomProblem(seed, shape), all;
  auto size = int32_t(part.nodes.size()), last = size - 1;
  Random random(seed);
  all.matrices = part.matrices;
  all.matrices.push_back(
      randomMatrix(random, shape, int32_t(part.nodes.back().costs.size()), int32_t(part.nodes.front().costs.size())));
  for (int32_t copy = 0; copy < copies; ++copy) {
    for (Node node : part.nodes) {
      for (UsageComponent &usage : node.usages)
        usage.interval.first += copy * shape.times, usage.interval.last += copy * shape.times;
      all.nodes.push_back(node);
    }
    for (Edge edge : part.edges)
      all.edges.push_back({edge.from + copy * size, edge.to + copy * size, edge.matrix});
    if (copy > 0)
      all.edges.push_back({(copy - 1) * size + last, copy * size, int32_t(all.matrices.size()) - 1});
  }
  return all;
}

TEST(Linking, PlansForTheGroupsArePlansOfEqualCostAndMemory) {
  int linkedProblems = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Problem problem = repeated(seed, 12);
    std::optional<Linked> linked = link(problem);
    if (!linked)
      continue;
    ++linkedProblems;
    ASSERT_TRUE(check(linked->problem).has_value());
    Random random(seed);
    for (int i = 0; i < 10; ++i) {
      std::vector<int32_t> choice;
      for (const Node &node : linked->problem.nodes)
        choice.push_back(int32_t(random.below(int64_t(node.costs.size()))));
      std::vector<int32_t> all = linked->expand(choice);
      double cost = totalCost(problem, all);
      EXPECT_NEAR(totalCost(linked->problem, choice), cost, 1e-9 * (1 + std::abs(cost))) << seed;
      EXPECT_EQ(peakUsage(linked->problem, choice), peakUsage(problem, all)) << seed;
    }
  }
  EXPECT_GT(linkedProblems, 100);
}

TEST(Linking, GroupsDoNotGrowWithTheNumberOfLayers) {
  std::optional<Linked> few = link(TransformerProblem(12, 2).problem), many = link(TransformerProblem(96, 2).problem);
  ASSERT_TRUE(few && many);
  EXPECT_EQ(few->problem.nodes.size(), many->problem.nodes.size());
  EXPECT_LT(few->problem.nodes.size(), 40u);
}

TEST(Linking, ProblemsWithoutEqualPartsAreLeftAlone) {
  EXPECT_FALSE(link(TransformerProblem(1, 2).problem));
  RandomShape shape;
  shape.nodes = 30, shape.edges = 50;
  for (uint64_t seed = 0; seed < 50; ++seed)
    EXPECT_FALSE(link(randomProblem(seed, shape))) << seed;
}

TEST(Linking, TheNearestChoiceIsTheChoiceWhereNothingWasRuledOut) {
  TransformerProblem transformer(4, 2);
  transformer.problem.usageLimit = 200'000'000;
  mpopt::Result<Model> model = mpopt::search::reduce(transformer.problem);
  ASSERT_TRUE(model.has_value());
  std::vector<int32_t> choice;
  for (size_t v = 0; v < model->variables.size(); ++v)
    choice.push_back(int32_t(v % model->variables[v].strategies.size()));
  EXPECT_EQ(nearestChoice(*model, model->expand(choice)), choice);
}

TEST(Linking, DeepTransformersUnderALimitComeNearTheirBound) {
  TransformerProblem transformer(48, 3);
  auto loose = solve(transformer.problem);
  ASSERT_TRUE(loose.has_value());
  transformer.problem.usageLimit = loose->peak / 3;
  auto tight = solve(transformer.problem, {.timeLimit = 0.5}), again = solve(transformer.problem, {.timeLimit = 0.5});
  ASSERT_TRUE(tight && again);
  EXPECT_TRUE(verify(transformer.problem, *tight).has_value());
  EXPECT_EQ(tight->choice, again->choice);
  RecordProperty("gap", std::to_string(tight->cost / tight->lowerBound - 1));
  EXPECT_LT(tight->cost, 1.005 * tight->lowerBound);
}

} // namespace
