#include "mpopt/Search/Alternatives.h"
#include "Exhaustive.h"
#include "Forest.h"
#include "RandomProblem.h"
#include "mpopt/Search/Solver.h"

#include <gtest/gtest.h>

using namespace mpopt::search;

namespace {

/// Some nodes with two or three groups.
Groups randomGroups(Random &random, const Problem &problem) {
  Groups groups(problem.nodes.size());
  for (size_t n = 0; n < groups.size(); ++n)
    if (random.chance(60))
      for (size_t s = 0; s < problem.nodes[n].costs.size(); ++s)
        groups[n].push_back(int32_t(random.below(3)));
  return groups;
}

std::vector<Ban> randomBans(Random &random, const Groups &groups) {
  std::vector<Ban> bans;
  for (size_t n = 0; n < groups.size(); ++n)
    if (!groups[n].empty() && random.chance(50))
      bans.push_back({int32_t(n), int32_t(random.below(3))});
  return bans;
}

Problem withBans(Problem problem, const Groups &groups, const std::vector<Ban> &bans) {
  for (const Ban &ban : bans)
    for (size_t s = 0; s < groups[size_t(ban.node)].size(); ++s)
      if (groups[size_t(ban.node)][s] == ban.group)
        problem.nodes[size_t(ban.node)].costs[s] = kForbidden;
  return problem;
}

void compareWithExhaustiveSearch(bool memory) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    RandomShape shape;
    shape.nodes = 1 + int64_t(seed % 7), shape.edges = int64_t(seed % 11), shape.memory = memory;
    shape.forbiddenPercent = int64_t(seed % 3) * 10, shape.classes = int64_t(seed % 3);
    Problem problem = randomProblem(seed + 5000, shape);
    Random random(seed);
    Groups groups = randomGroups(random, problem);
    auto best = solve(problem);
    auto alternatives = best ? Alternatives::make(problem, groups, *best) : tl::make_unexpected(best.error());
    if (!alternatives) {
      EXPECT_EQ(tryAll(problem).cost, kForbidden);
      continue;
    }
    for (int question = 0; question < 5; ++question) {
      std::vector<Ban> bans = randomBans(random, groups);
      Problem banned = withBans(problem, groups, bans);
      Exhaustive expected = tryAll(banned);
      auto found = alternatives->without(bans, 1e8);
      ASSERT_EQ(found.has_value(), expected.cost != kForbidden) << (found ? "" : found.error().message);
      if (!found)
        continue;
      EXPECT_TRUE(verify(banned, *found).has_value());
      EXPECT_TRUE(found->optimal);
      EXPECT_NEAR(found->cost, expected.cost, 1e-9 * (1 + expected.cost));
    }
  }
}

TEST(Alternatives, EqualExhaustiveSearchWithoutALimit) { compareWithExhaustiveSearch(false); }

TEST(Alternatives, EqualExhaustiveSearchUnderALimit) { compareWithExhaustiveSearch(true); }

/// Trees are minimised over exactly in one round, and other graphs never get worse.
TEST(ForestSearch, FindsTheBestOfATree) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    RandomShape shape;
    shape.nodes = 6, shape.edges = 0, shape.memory = false, shape.forbiddenPercent = int64_t(seed % 2) * 5;
    Problem problem = randomProblem(seed + 9000, shape);
    Random random(seed);
    for (int32_t node = 1; node < 6; ++node) {
      auto from = int32_t(random.below(node));
      problem.edges.push_back({from, node, int32_t(problem.matrices.size())});
      problem.matrices.push_back(randomMatrix(random, shape, int32_t(problem.nodes[size_t(from)].costs.size()),
                                              int32_t(problem.nodes[size_t(node)].costs.size())));
    }
    Exhaustive best = tryAll(problem);
    auto model = reduce(problem);
    if (!model || model->variables.empty())
      continue;
    ForestSearch::Costs costs;
    std::vector<int32_t> start;
    for (const Variable &variable : model->variables) {
      costs.push_back(variable.costs);
      start.push_back(int32_t(random.below(variable.size())));
    }
    ForestSearch search(*model, start);
    bool allowed = true;
    for (size_t v = 0; v < start.size(); ++v) // the reductions may have cut the tree
      allowed = search.improve({int32_t(v)}, costs, 10, 4);
    ASSERT_EQ(allowed, best.cost != kForbidden);
    EXPECT_NEAR(model->cost(search.choice()), best.cost, 1e-9 * (1 + best.cost));
  }
}

TEST(Alternatives, ABanOfAllThatIsLeftIsAnError) {
  Problem problem;
  problem.nodes = {{"a", {1, kForbidden}, {}}};
  auto alternatives = Alternatives::make(problem, {{0, 1}}, *solve(problem));
  ASSERT_TRUE(alternatives.has_value());
  EXPECT_TRUE(alternatives->without(std::vector<Ban>{{0, 1}}, 1e6).has_value());
  EXPECT_FALSE(alternatives->without(std::vector<Ban>{{0, 0}}, 1e6).has_value());
}

} // namespace
