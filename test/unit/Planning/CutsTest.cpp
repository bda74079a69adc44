// Where a chain of operators is cut into stages.
#include "Cuts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace mpopt::planning;
using ::testing::ElementsAre;
using ::testing::Lt;

namespace {

constexpr int64_t kNoLimit = int64_t(1) << 60;

/// Operators that take so long; transfers and bytes are 0.
Chain chainOf(std::vector<double> seconds) {
  Chain chain;
  chain.seconds = std::move(seconds);
  chain.weightBytes.assign(chain.size(), 0);
  chain.liveBytes.assign(chain.size(), 0);
  chain.crossingBytes.assign(chain.size(), 0);
  chain.transferSeconds.assign(chain.size(), 0);
  return chain;
}

double worth(const CutCost &cost, int64_t microbatches, CutGoal goal) {
  if (goal == CutGoal::Memory)
    return static_cast<double>(cost.maxBytes);
  if (goal == CutGoal::Throughput)
    return cost.maxSeconds;
  return cost.sumSeconds + static_cast<double>(microbatches - 1) * cost.maxSeconds;
}

TEST(ChooseCuts, BalancesTimes) {
  EXPECT_THAT(*chooseCuts(chainOf({1, 1, 1, 1, 4, 2, 2}), 3, 4, CutGoal::Latency, kNoLimit), ElementsAre(4, 5));
  EXPECT_THAT(*chooseCuts(chainOf({5, 1, 1}), 3, 1, CutGoal::Throughput, kNoLimit), ElementsAre(1, 2));
}

TEST(ChooseCuts, AvoidsCostlyTransfers) {
  Chain chain = chainOf({1, 1, 1, 1});
  chain.transferSeconds = {0, 1, 5, 0.5};
  EXPECT_THAT(*chooseCuts(chain, 2, 1, CutGoal::Latency, kNoLimit), ElementsAre(3));
  chain.transferSeconds[2] = 0.1; // in balance, and a transfer that hardly counts
  EXPECT_THAT(*chooseCuts(chain, 2, 1, CutGoal::Throughput, kNoLimit), ElementsAre(2));
}

TEST(ChooseCuts, KeepsWithinTheMemoryOfADevice) {
  Chain chain = chainOf({4, 1, 1, 1});
  chain.weightBytes = {10, 10, 50, 50};
  EXPECT_THAT(*chooseCuts(chain, 2, 8, CutGoal::Latency, kNoLimit), ElementsAre(1));
  EXPECT_THAT(*chooseCuts(chain, 2, 8, CutGoal::Latency, 80), ElementsAre(3));
  EXPECT_THAT(*chooseCuts(chain, 2, 8, CutGoal::Memory, kNoLimit), ElementsAre(3));
  EXPECT_FALSE(chooseCuts(chain, 2, 8, CutGoal::Latency, 60));
  EXPECT_FALSE(chooseCuts(chain, 5, 8, CutGoal::Latency, kNoLimit)) << "fewer operators than stages";
}

TEST(ChooseCuts, IsNearlyTheBestOfAllCuts) {
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    Chain chain = chainOf({});
    for (int op = 0; op < 9; ++op) {
      chain.seconds.push_back(1 + random() % 9);
      chain.weightBytes.push_back(random() % 100);
      chain.liveBytes.push_back(random() % 100);
      chain.crossingBytes.push_back(op == 0 ? 0 : random() % 100);
      chain.transferSeconds.push_back(static_cast<double>(chain.crossingBytes.back()) / 50);
    }
    for (CutGoal goal : {CutGoal::Latency, CutGoal::Throughput, CutGoal::Memory}) {
      auto chosen = chooseCuts(chain, 3, 4, goal, kNoLimit);
      ASSERT_TRUE(chosen);
      double least = 1e30, found = worth(costOfCuts(chain, *chosen), 4, goal);
      for (size_t a = 1; a < 8; ++a)
        for (size_t b = a + 1; b < 9; ++b)
          least = std::min(least, worth(costOfCuts(chain, {a, b}), 4, goal));
      EXPECT_LE(found, least * (goal == CutGoal::Latency ? 1.1 : 1.0) + 1e-9) << round;
    }
  }
}

TEST(ChooseCuts, LongChains) {
  Chain chain = chainOf(std::vector<double>(3000, 1));
  for (size_t i = 1; i < chain.size(); ++i)
    chain.crossingBytes[i] = i % 10 == 0 ? 1 : 100; // blocks of ten
  auto cuts = chooseCuts(chain, 4, 4, CutGoal::Latency, kNoLimit);
  ASSERT_TRUE(cuts);
  EXPECT_THAT(costOfCuts(chain, *cuts).maxSeconds, Lt(775.0));
}

} // namespace
