#include "mpopt/Search/TrainingPlanner.h"

#include <gtest/gtest.h>
#include <numeric>
#include <random>

using namespace mpopt;
using namespace mpopt::search;
using namespace mpopt::cost;

namespace {

class TrainingPlannerTest : public testing::Test {
protected:
  static int64_t pick(std::mt19937 &random, std::vector<int64_t> values) {
    return values[std::uniform_int_distribution<size_t>(0, values.size() - 1)(random)];
  }

  TrainingQuery queryOf(std::mt19937 &random) {
    machine = *machine::load(random() % 2 ? "v100-16" : "a100-40");
    stack = *machine::loadStack(random() % 2 ? "megatron-2021" : "megatron-core");
    // So little memory that it often decides.
    machine.devices[0].memoryBytes = int64_t(1e9) * pick(random, {3, 6, 12, 30});
    TrainingQuery query;
    query.machine = &machine;
    query.stack = &stack;
    query.shape.layers = pick(random, {1, 2, 3, 4, 6, 7, 10});
    query.shape.hidden = pick(random, {512, 1024, 2048});
    query.shape.heads = query.shape.kvHeads = pick(random, {4, 6, 8});
    query.shape.hidden -= query.shape.hidden % query.shape.heads;
    query.shape.feedForward = 4 * query.shape.hidden;
    query.shape.sequence = 512;
    query.shape.vocabulary = pick(random, {1000, 30000, 100000});
    query.devices = pick(random, {1, 2, 3, 4, 6, 8, 12, 16});
    query.globalBatch = pick(random, {4, 12, 24, 32});
    query.type = machine::DType::F16;
    return query;
  }

  machine::Machine machine;
  machine::Stack stack;
};

std::vector<int64_t> divisors(int64_t number) {
  std::vector<int64_t> result;
  for (int64_t i = 1; i <= number; ++i)
    if (number % i == 0)
      result.push_back(i);
  return result;
}

/// Calls visit(plan) for every uniform plan of equal stages.
template <typename Visit> void eachPlan(const TrainingQuery &query, Visit visit) {
  TrainingPlan plan;
  plan.globalBatch = query.globalBatch;
  plan.type = query.type;
  for (int64_t pp : divisors(query.devices))
    for (int64_t tp : divisors(query.devices / pp))
      for (int64_t cp : divisors(std::gcd(query.devices / pp / tp, query.shape.sequence)))
        for (int64_t microbatch : divisors(query.globalBatch))
          for (Schedule schedule : {Schedule::GPipe, Schedule::OneForwardOneBackward, Schedule::ZeroBubbleH1})
            for (int64_t interleave : {1, 2, 3})
              for (Recompute recompute : {Recompute::None, Recompute::Selective, Recompute::Full})
                for (StateSharding sharding : {StateSharding::None, StateSharding::Optimizer, StateSharding::Gradients,
                                               StateSharding::Parameters})
                  for (bool sequenceParallel : {false, query.shape.sequence % (tp * cp) == 0}) {
                    plan.pp = pp, plan.tp = tp, plan.cp = cp, plan.dp = query.devices / pp / tp / cp;
                    plan.microbatch = microbatch, plan.interleave = interleave, plan.schedule = schedule;
                    plan.recompute = recompute, plan.sharding = sharding, plan.sequenceParallel = sequenceParallel;
                    if (plan.dp * plan.cp > 1 || sharding == StateSharding::None)
                      visit(plan);
                  }
}

TEST_F(TrainingPlannerTest, IsNoWorseThanAnyUniformPlan) {
  std::mt19937 random(7);
  int planned = 0, better = 0;
  for (int i = 0; i < 120; ++i) {
    TrainingQuery query = queryOf(random);
    double best = kForbidden;
    eachPlan(query, [&](const TrainingPlan &plan) {
      auto price = priceStep(machine, stack, query.shape, plan);
      if (price && price->memory.fit == Fit::Fits)
        best = std::min(best, price->seconds);
    });
    auto answer = planTraining(query);
    ASSERT_TRUE(answer || best == kForbidden) << i << ": " << answer.error().message;
    if (!answer)
      continue;
    ++planned;
    const TrainingCandidate &plan = answer->plans[0];
    EXPECT_LE(plan.price.seconds, best * 1.002) << i;
    better += plan.price.seconds < best * 0.999;
    EXPECT_LE(answer->lowerBound, plan.price.seconds) << i;
    EXPECT_DOUBLE_EQ(priceCandidate(query, plan).seconds, plan.price.seconds) << i;
    EXPECT_EQ(plan.price.memory.fit, Fit::Fits) << i;
    int64_t layers = 0, devices = 0;
    for (const TrainingStage &stage : plan.stages) {
      EXPECT_EQ(stage.firstDevice, devices);
      devices += stage.layout.tp * stage.layout.cp * stage.layout.dp;
      for (const LayerRange &chunk : stage.chunks)
        layers += chunk.count;
    }
    EXPECT_EQ(layers, query.shape.layers) << i;
    EXPECT_EQ(devices, query.devices) << i;
  }
  EXPECT_GT(planned, 70);
  EXPECT_GT(better, 3); // uneven stages or partial recomputation
}

TEST_F(TrainingPlannerTest, KeepsToWhatIsPinned) {
  std::mt19937 random(3);
  TrainingQuery query = queryOf(random);
  machine.devices[0].memoryBytes = 30e9;
  query.shape.layers = 8;
  query.shape.heads = query.shape.kvHeads = 8;
  query.devices = 8;
  query.globalBatch = 32;
  query.pins.pp = 2;
  query.pins.tp = 2;
  query.pins.microbatch = 2;
  query.pins.interleave = 2;
  query.pins.sharding = StateSharding::Optimizer;
  query.pins.recompute = Recompute::Full;
  auto answer = planTraining(query);
  ASSERT_TRUE(answer) << answer.error().message;
  for (const TrainingCandidate &plan : answer->plans) {
    ASSERT_EQ(plan.stages.size(), 2U);
    EXPECT_EQ(plan.interleave(), 2);
    for (const TrainingStage &stage : plan.stages) {
      EXPECT_EQ(stage.layout.tp, 2);
      EXPECT_EQ(stage.layout.microbatch, 2);
      EXPECT_EQ(stage.layout.sharding, StateSharding::Optimizer);
      EXPECT_EQ(stage.recomputed, (std::array<int64_t, 3>{0, 0, stage.chunks[0].count}));
    }
  }
}

TEST_F(TrainingPlannerTest, StagesOfDifferentSizesUseWhatDoesNotDivide) {
  std::mt19937 random(3);
  TrainingQuery query = queryOf(random);
  machine.devices[0].memoryBytes = 30e9;
  query.shape.layers = 5; // for 7 devices: not 7 stages, nor 7 ways to split 8 heads or 32 sequences
  query.shape.heads = query.shape.kvHeads = 8;
  query.devices = 7;
  query.globalBatch = 32;
  auto answer = planTraining(query);
  ASSERT_TRUE(answer) << answer.error().message;
  const TrainingCandidate &plan = answer->plans[0];
  EXPECT_FALSE(plan.isUniform());
  int64_t layers = 0, devices = 0;
  for (const TrainingStage &stage : plan.stages) {
    EXPECT_EQ(stage.firstDevice, devices);
    devices += stage.layout.tp * stage.layout.cp * stage.layout.dp;
    layers += stage.chunks[0].count;
    EXPECT_EQ(stage.layout.microbatches(), plan.microbatches);
  }
  EXPECT_EQ(devices, 7);
  EXPECT_EQ(layers, 5);
  EXPECT_LE(answer->lowerBound, plan.price.seconds);
  EXPECT_DOUBLE_EQ(priceCandidate(query, plan).seconds, plan.price.seconds);
  query.pins.tp = 1;
  EXPECT_FALSE(planTraining(query));
}

TEST_F(TrainingPlannerTest, SaysWhyThereIsNoPlan) {
  std::mt19937 random(3);
  TrainingQuery query = queryOf(random);
  query.shape.heads = query.shape.kvHeads = 8;
  query.devices = 8;
  query.globalBatch = 32;
  query.pins.tp = 3;
  auto answer = planTraining(query);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("tp = 3 does not divide"), std::string::npos) << answer.error().message;
  EXPECT_FALSE(answer.error().lacksMemory);
  query.pins.tp = {};
  machine.devices[0].memoryBytes = 1000000;
  answer = planTraining(query);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("nothing fits the memory"), std::string::npos) << answer.error().message;
  EXPECT_TRUE(answer.error().lacksMemory);
  query.devices = 1 << 30;
  EXPECT_FALSE(planTraining(query));
}

TEST_F(TrainingPlannerTest, AnswersTheSameEveryTime) {
  std::mt19937 random(11);
  TrainingQuery query = queryOf(random);
  machine.devices[0].memoryBytes = 30e9;
  auto first = planTraining(query), second = planTraining(query);
  ASSERT_TRUE(first && second);
  ASSERT_EQ(first->plans.size(), second->plans.size());
  for (size_t i = 0; i < first->plans.size(); ++i)
    EXPECT_EQ(first->plans[i].price.seconds, second->plans[i].price.seconds);
}

} // namespace
