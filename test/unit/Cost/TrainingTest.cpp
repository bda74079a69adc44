#include "TrainingFixtures.h"
#include "mpopt/Cost/Training/Calibrate.h"
#include "mpopt/Cost/Training/Traffic.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt;
using namespace mpopt::cost;
using machine::Machine;
using machine::Stack;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

// Shape and plan.

TEST(TrainingPlan, ErrorsNameTheFieldAndTheRemedy) {
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(3, 1, 1, 1, 8);
  EXPECT_THAT(check(shape, plan).error().message, HasSubstr("heads is 16, which tp = 3 does not divide"));
  plan = planOf(1, 1, 4, 1, 6);
  EXPECT_THAT(check(shape, plan).error().message, HasSubstr("global_batch is 6"));
  plan = planOf(1, 16, 1, 1, 16);
  EXPECT_THAT(check(shape, plan).error().message, HasSubstr("8 layers over pp * interleave = 16"));
  plan = planOf(1, 4, 1, 1, 6);
  plan.interleave = 2;
  EXPECT_THAT(check(shape, plan).error().message, HasSubstr("pp (interleaved) = 4"));
  plan = planOf(1, 1, 1, 0, 6);
  EXPECT_THAT(check(shape, plan).error().message, HasSubstr("microbatch is 0"));
  EXPECT_THAT(priceStep(simpleMachine(), Stack(), shape, planOf(1, 1, 8192, 1, 8192)).error().message,
              HasSubstr("8192 devices, but machine 'simple' has 4096"));
}

TEST(TrainingPlan, ParametersOfWellKnownModels) {
  TransformerShape gpt3 = smallShape();
  gpt3.layers = 96, gpt3.hidden = 12288, gpt3.heads = gpt3.kvHeads = 96, gpt3.feedForward = 49152;
  EXPECT_NEAR(96 * layerParameters(gpt3) / 1e9, 173.9, 0.1);
  TransformerShape llama = smallShape(); // Llama 3 70B: 855.6 M a layer
  llama.hidden = 8192, llama.heads = 64, llama.kvHeads = 8, llama.feedForward = 28672, llama.gated = true;
  EXPECT_NEAR(layerParameters(llama) / 1e6, 855.6, 0.1);
  llama.experts = 8, llama.topExperts = 2;
  EXPECT_GT(layerParameters(llama), 3 * activeLayerParameters(llama));
}

TEST(TrainingPlan, UnevenLayersGoToTheMiddle) {
  EXPECT_THAT(layersOfChunks(8, 4), ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(layersOfChunks(10, 4), ElementsAre(2, 3, 3, 2));
  EXPECT_THAT(layersOfChunks(126, 32).front(), 3);
  EXPECT_THAT(layersOfChunks(126, 32).back(), 3);
}

// Traffic.

TEST(Traffic, ARingRunsAtItsSlowestLevel) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  EXPECT_DOUBLE_EQ(scatterSeconds(machine, stack, {1, 1}, 1e9), 0);
  EXPECT_DOUBLE_EQ(scatterSeconds(machine, stack, {4, 1}, 1e9), 0.75);
  // One member per node: a single device's part of the adapters.
  EXPECT_DOUBLE_EQ(scatterSeconds(machine, stack, {2, 4}, 1e8), 0.5);
  // Four members per node share the node's adapters for one ring.
  EXPECT_DOUBLE_EQ(scatterSeconds(machine, stack, {8, 1}, 8e8), 7e8 / 4e8);
  EXPECT_DOUBLE_EQ(reduceSeconds(machine, stack, {8, 1}, 8e8), 2 * 7e8 / 4e8);
}

TEST(Traffic, LatencyPerHopOrPerTreeLevel) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  stack.latency = 1;
  EXPECT_NEAR(scatterSeconds(machine, stack, {4, 1}, 0), 3e-6, 1e-12);
  EXPECT_NEAR(scatterSeconds(machine, stack, {32, 1}, 0), 3e-6 + 7e-5, 1e-12);
  EXPECT_NEAR(reduceSeconds(machine, stack, {32, 1}, 0), 2 * (2e-6 + 3e-5), 1e-12);
}

TEST(Traffic, GroupsFollowMegatronsOrder) {
  TrainingPlan plan = planOf(2, 4, 8, 1, 8);
  plan.cp = 2;
  EXPECT_EQ(tensorGroup(plan).stride, 1);
  EXPECT_EQ(contextGroup(plan).stride, 2);
  EXPECT_EQ(dataGroup(plan).ranks, 16);
  EXPECT_EQ(dataGroup(plan).stride, 2);
  EXPECT_EQ(stageDistance(plan), 32);
}

TEST(Traffic, SendsUseTheInnermostLevelThatJoinsThem) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  EXPECT_DOUBLE_EQ(sendSeconds(machine, stack, 0, 3, 1e8), 0.1);
  EXPECT_DOUBLE_EQ(sendSeconds(machine, stack, 3, 4, 1e8), 1);
  EXPECT_DOUBLE_EQ(sendSeconds(machine, stack, 5, 5, 1e8), 0);
}

TEST(Traffic, AnExchangeSplitsByLevel) {
  Machine machine = simpleMachine();
  // Of 8 parts, 3 go to peers in the node and 4 beyond it.
  EXPECT_DOUBLE_EQ(exchangeSeconds(machine, arithmeticOnly(), {8, 1}, 8e8), 3e8 / 1e9 + 4e8 / 1e8);
}

// The step.

TEST(Step, ParallelPartsAddUp) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  TransformerShape shape = smallShape();
  double one = price(machine, stack, shape, planOf(1, 1, 1, 1, 8)).seconds;
  stack.microbatchSeconds = 0.5;
  stack.stepSeconds = 3;
  EXPECT_NEAR(price(machine, stack, shape, planOf(1, 1, 1, 1, 8)).seconds, one + 8 * 0.5 + 3, 1e-6);
}

TEST(Step, GradientsAreReducedAfterTheBackwardPass) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  TransformerShape shape = smallShape();
  double parameters = 8 * layerParameters(shape) + embeddingParameters(shape);
  double alone = price(machine, stack, shape, planOf(1, 1, 1, 1, 2)).seconds;
  double two = price(machine, stack, shape, planOf(1, 1, 2, 1, 4)).seconds;
  EXPECT_NEAR(two - alone, reduceSeconds(machine, stack, {2, 1}, 2 * parameters), 1e-6);
  stack.dataOverlap = 1;
  EXPECT_NEAR(price(machine, stack, shape, planOf(1, 1, 2, 1, 4)).seconds, alone, 1e-6);
}

TEST(Step, OptimizerMovesTheStateOfItsShare) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  TransformerShape shape = smallShape();
  stack.optimizerBytes = 26;
  TrainingPlan plan = planOf(1, 1, 2, 1, 4);
  double whole = price(machine, stack, shape, plan).optimizer;
  EXPECT_NEAR(whole, 26 * (8 * layerParameters(shape) + embeddingParameters(shape)) / 1e9, 1e-9);
  plan.sharding = StateSharding::Optimizer;
  EXPECT_NEAR(price(machine, stack, shape, plan).optimizer, whole / 2, 1e-9);
}

TEST(Step, StateBytesByZeroLevel) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  stack.reserveBytes = 0;
  TransformerShape shape = smallShape();
  double parameters = 8 * layerParameters(shape) + embeddingParameters(shape);
  TrainingPlan plan = planOf(1, 1, 4, 1, 4);
  auto perParameter = [&](StateSharding sharding, Precision precision = Precision::Mixed16) {
    plan.sharding = sharding;
    plan.precision = precision;
    return price(machine, stack, shape, plan).memory.weights / parameters;
  };
  EXPECT_DOUBLE_EQ(perParameter(StateSharding::None), 18);
  EXPECT_DOUBLE_EQ(perParameter(StateSharding::Optimizer), 9);
  EXPECT_DOUBLE_EQ(perParameter(StateSharding::Gradients), 6);
  EXPECT_DOUBLE_EQ(perParameter(StateSharding::Parameters), 4);
  EXPECT_DOUBLE_EQ(perParameter(StateSharding::None, Precision::Pure16), 8);
  EXPECT_DOUBLE_EQ(perParameter(StateSharding::None, Precision::Float32), 16);
}

/// Korthikanti et al. 2022, table 2: s b h (34 + 5 a s / h), s b h (10 + 24/t + 5 a s / (h t)), (34 + ...) / t, 2.
TEST(Step, ActivationBytesPerLayer) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  stack.fusedAttention = false;
  stack.dropout = true;
  TransformerShape shape = smallShape();
  double unit = 512 * 1024, scores = 5.0 * 16 * 512 / 1024;
  auto bytes = [&](int64_t tp, bool sequenceParallel, Recompute recompute) {
    TrainingPlan plan = planOf(tp, 1, 1, 1, 1);
    plan.sequenceParallel = sequenceParallel;
    plan.recompute = recompute;
    return TransformerPrices(machine, stack, shape, plan).activationBytes(0, 1) / unit;
  };
  EXPECT_DOUBLE_EQ(bytes(1, false, Recompute::None), 34 + scores);
  EXPECT_DOUBLE_EQ(bytes(4, false, Recompute::None), 10 + 24.0 / 4 + scores / 4);
  EXPECT_DOUBLE_EQ(bytes(4, true, Recompute::None), (34 + scores) / 4);
  EXPECT_DOUBLE_EQ(bytes(4, true, Recompute::Selective), 34.0 / 4);
  EXPECT_DOUBLE_EQ(bytes(1, false, Recompute::Full), 2);
  EXPECT_DOUBLE_EQ(bytes(4, true, Recompute::Full), 0.5);
}

TEST(Step, MemoryAnswersInThreeWays) {
  Machine machine = simpleMachine();
  Stack stack;
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 1, 1, 1, 1);
  double total = price(machine, stack, shape, plan).memory.total();
  auto fit = [&](double share) {
    machine.devices[0].memoryBytes = int64_t(total * share);
    return price(machine, stack, shape, plan).memory.fit;
  };
  EXPECT_EQ(fit(1.07), Fit::Fits);
  EXPECT_EQ(fit(1.0), Fit::Unsure);
  EXPECT_EQ(fit(0.9), Fit::Unsure);
  EXPECT_EQ(fit(0.87), Fit::DoesNot);
}

TEST(Step, ShardedParametersAreGatheredBesideCompute) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 1, 4, 1, 4);
  plan.sharding = StateSharding::Parameters;
  double parameters = 8 * layerParameters(shape) + embeddingParameters(shape);
  double once = scatterSeconds(machine, stack, {4, 1}, 2 * parameters);
  double alone = price(machine, stack, shape, planOf(1, 1, 1, 1, 1)).seconds;
  stack.gatherExposed = 1;
  EXPECT_NEAR(price(machine, stack, shape, plan).seconds, alone + 3 * once, 1e-6);
  stack.gatherExposed = 0;
  EXPECT_LT(price(machine, stack, shape, plan).seconds, alone + 3 * once);
}

TEST(Step, LogitsAndEmbeddingMakeStagesUneven) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 2, 1, 1, 8);
  TransformerPrices prices(machine, stack, shape, plan);
  EXPECT_GT(prices.range(4, 4).forward, prices.range(1, 4).forward);
  EXPECT_GT(price(machine, stack, shape, plan).seconds,
            9 * (prices.range(1, 4).forward + prices.range(1, 4).backward()));
}

// Calibration.

TEST(Calibrate, FindsTheConstantsThatMadeTheTimes) {
  Machine machine = *machine::load("a100-80");
  Stack truth = *machine::loadStack("default"), start = truth;
  truth.matmul = 0.8;
  truth.pointwise = 1.5;
  truth.intraLink = 0.7;
  std::vector<MeasuredStep> steps;
  for (int64_t tp : {1, 2, 4, 8})
    for (int64_t microbatch : {1, 4, 16})
      for (int64_t hidden : {1024, 4096}) {
        TransformerShape shape = smallShape();
        shape.hidden = hidden, shape.feedForward = 4 * hidden, shape.heads = shape.kvHeads = hidden / 64;
        MeasuredStep step{&machine, shape, planOf(tp, 1, 8 / tp, microbatch, 16 * microbatch), 0};
        step.seconds = price(machine, truth, step.shape, step.plan).seconds;
        steps.push_back(step);
      }
  Stack fitted = fitStack(start, steps);
  for (const MeasuredStep &step : steps)
    EXPECT_NEAR(price(machine, fitted, step.shape, step.plan).seconds / step.seconds, 1, 0.02);
  EXPECT_NEAR(fitted.matmul, truth.matmul, 0.05);
}

TEST(Calibrate, OneStepMovesTheMatrixRateOnly) {
  Machine machine = *machine::load("a100-80");
  Stack start = *machine::loadStack("default");
  MeasuredStep step{&machine, smallShape(), planOf(1, 1, 8, 8, 64), 0};
  step.seconds = 1.1 * price(machine, start, step.shape, step.plan).seconds;
  Stack fitted = fitStack(start, std::span(&step, 1));
  EXPECT_LT(fitted.matmul, start.matmul);
  fitted.matmul = start.matmul;
  EXPECT_EQ(toToml(fitted), toToml(start));
}

TEST(Calibrate, ProfilesReproduceTheStep) {
  Machine machine = *machine::load("a100-80");
  Stack stack = *machine::loadStack("default");
  MeasuredStep step{&machine, smallShape(), planOf(1, 1, 1, 8, 64), 0};
  double before = price(machine, stack, step.shape, step.plan).seconds;
  step.seconds = 1.2 * before;
  profileLayers(stack, std::span(&step, 1));
  ASSERT_EQ(stack.profile.size(), 1u);
  double after = price(machine, stack, step.shape, step.plan).seconds;
  EXPECT_GT(after, 1.12 * before); // one step shrinks the correction by 1 / 1.3 of its logarithm
  EXPECT_LT(after, 1.2 * before);
}

TEST(Stages, APlanOfEqualStagesIsPricedAsTheStagesThatItHas) {
  Machine machine = simpleMachine();
  Stack stack;
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(2, 4, 2, 1, 16);
  TransformerPrices prices(machine, stack, shape, plan);
  std::vector<StageLayout> stages = stagesOf(plan, prices);
  ASSERT_EQ(stages.size(), 4U);
  EXPECT_EQ(stages[3].firstDevice, 12);
  EXPECT_EQ(stages[3].chunks[0].first, 6);
  StepPrice whole = *priceStep(machine, stack, shape, plan);
  EXPECT_DOUBLE_EQ(priceStages(machine, stack, plan.schedule, stages).seconds, whole.seconds);
  EXPECT_DOUBLE_EQ(whole.stages[whole.memory.stage].memory.total(), whole.memory.total());
}

TEST(Stages, FewerLayersMakeAStageFaster) {
  Machine machine = simpleMachine();
  Stack stack;
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 2, 1, 1, 16);
  TransformerPrices prices(machine, stack, shape, plan);
  std::vector<StageLayout> stages = stagesOf(plan, prices);
  double even = priceStages(machine, stack, plan.schedule, stages).stages[1].busy;
  stages[0].chunks = {{0, 6}};
  stages[1].chunks = {{6, 2}};
  StepPrice uneven = priceStages(machine, stack, plan.schedule, stages);
  EXPECT_LT(uneven.stages[1].busy, even);
  EXPECT_GT(uneven.stages[0].busy, uneven.stages[1].busy);
}

TEST(Stages, SomeLayersMayRecompute) {
  Machine machine = simpleMachine();
  Stack stack;
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 1, 1, 1, 16), full = plan;
  full.recompute = Recompute::Full;
  TransformerPrices none(machine, stack, shape, plan), all(machine, stack, shape, full);
  MixedPrices mixed({{&all, 3}, {&none, 0}});
  EXPECT_DOUBLE_EQ(mixed.activationBytes(0, 8), all.activationBytes(0, 3) + none.activationBytes(3, 5));
  EXPECT_DOUBLE_EQ(mixed.range(0, 8).backward(), all.range(0, 3).backward() + none.range(3, 5).backward());
  EXPECT_DOUBLE_EQ(mixed.range(0, 2).backward(), all.range(0, 2).backward());
  EXPECT_DOUBLE_EQ(mixed.parameters(0, 8), none.parameters(0, 8));
  EXPECT_DOUBLE_EQ(mixed.workingBytes(0, 8), std::max(all.workingBytes(0, 3), none.workingBytes(3, 5)));
}

} // namespace
