#include "mpopt/Search/Problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt::search;
using testing::HasSubstr;

namespace {

/// Two nodes and one edge; node 0 holds memory at [0,4) and, in its first
/// strategy, more at [1,2).
Problem twoNodes() {
  Problem problem;
  problem.nodes.push_back({"a", {1, 2}, {{{0, 4}, {10, 5}}, {{1, 2}, {7, 0}}}});
  problem.nodes.push_back({"b", {3, kForbidden, 0}, {{{2, 3}, {6, 0, 9}}}});
  problem.matrices.push_back({2, 3, {0, 1, 2, kForbidden, 5, 6}});
  problem.edges.push_back({0, 1, 0});
  return problem;
}

Solution solution(const Problem &problem, std::vector<int32_t> choice) {
  Solution result;
  result.choice = choice;
  result.cost = result.lowerBound = totalCost(problem, choice);
  result.peak = peakUsage(problem, choice);
  return result;
}

std::string errorOf(const Problem &problem) {
  auto status = check(problem);
  return status ? "" : status.error().message;
}

TEST(Verify, AcceptsARightAnswer) {
  Problem problem = twoNodes();
  Solution good = solution(problem, {0, 2});
  EXPECT_EQ(good.cost, 3);
  EXPECT_EQ(good.peak, 19);
  EXPECT_EQ(*verify(problem, good), 3);
}

TEST(Verify, CatchesWrongAnswers) {
  Problem problem = twoNodes();
  problem.usageLimit = 19;
  Solution good = solution(problem, {0, 2});
  ASSERT_TRUE(verify(problem, good).has_value());
  auto expectBad = [&](auto change, const char *part) {
    Solution bad = good;
    change(bad);
    auto result = verify(problem, bad);
    ASSERT_FALSE(result.has_value()) << part;
    EXPECT_THAT(result.error().message, HasSubstr(part));
  };
  expectBad([](Solution &s) { s.choice.pop_back(); }, "of 2");
  expectBad([](Solution &s) { s.choice[1] = 3; }, "strategy 3");
  expectBad([](Solution &s) { s.choice[0] = -1; }, "strategy -1");
  expectBad([](Solution &s) { s.choice[1] = 1; }, "forbidden");
  expectBad([](Solution &s) { s.choice = {1, 0}; }, "forbidden");
  expectBad([](Solution &s) { s.cost -= 1; }, "claims cost");
  expectBad([](Solution &s) { s.cost = std::nan(""); }, "claims cost");
  expectBad([](Solution &s) { s.peak -= 1; }, "claims a peak");
  expectBad([](Solution &s) { s.lowerBound = 4; }, "lower bound");
  problem.usageLimit = 18;
  EXPECT_THAT(verify(problem, good).error().message, HasSubstr("over the limit"));
}

TEST(Check, FindsMalformedProblems) {
  EXPECT_EQ(errorOf(twoNodes()), "");
  auto expectBad = [](auto change, const char *part) {
    Problem problem = twoNodes();
    change(problem);
    EXPECT_THAT(errorOf(problem), HasSubstr(part));
  };
  expectBad([](Problem &p) { p.nodes[0].costs.clear(); }, "no strategies");
  expectBad([](Problem &p) { p.nodes[0].costs[0] = std::nan(""); }, "neither finite nor forbidden");
  expectBad([](Problem &p) { p.nodes[0].costs[0] = -kForbidden; }, "neither finite nor forbidden");
  expectBad([](Problem &p) { p.nodes[0].usages[0].usages.pop_back(); }, "usage list");
  expectBad([](Problem &p) { p.nodes[0].usages[0].usages[1] = -1; }, "negative usage");
  expectBad([](Problem &p) { p.matrices[0].values.pop_back(); }, "rows x columns");
  expectBad([](Problem &p) { p.matrices[0].values[2] = std::nan(""); }, "matrix 0");
  expectBad([](Problem &p) { p.edges[0].to = 2; }, "does not exist");
  expectBad([](Problem &p) { p.edges[0].from = -1; }, "does not exist");
  expectBad([](Problem &p) { p.edges[0].matrix = 1; }, "does not exist");
  expectBad([](Problem &p) { std::swap(p.edges[0].from, p.edges[0].to); }, "size");
  expectBad([](Problem &p) { p.edges[0].to = 0; }, "itself");
  expectBad([](Problem &p) { p.usageLimit = -1; }, "limit is negative");
}

} // namespace
