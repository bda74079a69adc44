#include "mpopt/Search/Alternatives.h"
#include "Exhaustive.h"
#include "RandomProblem.h"

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
    auto alternatives = Alternatives::make(problem, groups);
    if (!alternatives) {
      EXPECT_EQ(tryAll(problem).cost, kForbidden);
      continue;
    }
    for (int question = 0; question < 5; ++question) {
      std::vector<Ban> bans = randomBans(random, groups);
      Problem banned = withBans(problem, groups, bans);
      Exhaustive best = tryAll(banned);
      auto found = alternatives->without(bans, 1e8);
      ASSERT_EQ(found.has_value(), best.cost != kForbidden) << (found ? "" : found.error().message);
      if (!found)
        continue;
      EXPECT_TRUE(verify(banned, *found).has_value());
      EXPECT_TRUE(found->optimal);
      EXPECT_NEAR(found->cost, best.cost, 1e-9 * (1 + best.cost));
    }
  }
}

TEST(Alternatives, EqualExhaustiveSearchWithoutALimit) { compareWithExhaustiveSearch(false); }

TEST(Alternatives, EqualExhaustiveSearchUnderALimit) { compareWithExhaustiveSearch(true); }

TEST(Alternatives, ABanOfAllThatIsLeftIsAnError) {
  Problem problem;
  problem.nodes = {{"a", {1, kForbidden}, {}}};
  auto alternatives = Alternatives::make(problem, {{0, 1}});
  ASSERT_TRUE(alternatives.has_value());
  EXPECT_TRUE(alternatives->without(std::vector<Ban>{{0, 1}}, 1e6).has_value());
  EXPECT_FALSE(alternatives->without(std::vector<Ban>{{0, 0}}, 1e6).has_value());
}

} // namespace
