// The price of one layer of a training step.
#include "TrainingFixtures.h"
#include "mpopt/Cost/Training/Traffic.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt;
using namespace mpopt::cost;
using machine::DType;
using machine::Machine;
using machine::Stack;

namespace {

TEST(Layer, DenseArithmeticIsSixFlopsPerParameterAndToken) {
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 1, 1, 2, 2);
  Machine machine = simpleMachine();
  machine.devices[0].memoryBandwidth = 1e15;
  PartSeconds layer = layerSeconds(machine, arithmeticOnly(), shape, plan);
  double tokens = 2 * 512, dense = 2 * tokens * layerParameters(shape) / 1e12;
  double attention = 4 * tokens * 512 / 2 * 1024 / 1e12; // causal: half of the pairs
  EXPECT_NEAR(layer.forward, dense + attention, 1e-9);
  EXPECT_NEAR(layer.backward(), 2 * dense + 2.5 * attention, 1e-9);
  EXPECT_NEAR(layer.weightGradient, dense, 1e-9);
}

TEST(Layer, RecomputationRepeatsTheForwardPass) {
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 1, 1, 2, 2);
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  PartSeconds none = layerSeconds(machine, stack, shape, plan);
  plan.recompute = Recompute::Full;
  EXPECT_NEAR(layerSeconds(machine, stack, shape, plan).backward(), none.backward() + none.forward, 1e-9);
  // Fused attention stores no scores, so selective recomputation repeats nothing.
  plan.recompute = Recompute::Selective;
  EXPECT_NEAR(layerSeconds(machine, stack, shape, plan).backward(), none.backward(), 1e-9);
  // Stopping early leaves out the last product, a third of the dense arithmetic.
  plan.recompute = Recompute::Full;
  stack.recomputeStopsEarly = true;
  double last = productSeconds(machine, stack, DType::BF16, 1, 1024, 1024, 4096);
  EXPECT_NEAR(layerSeconds(machine, stack, shape, plan).backward(), none.backward() + none.forward - last, 1e-9);
}

TEST(Layer, TensorParallelismSplitsWorkAndAddsTwoReductionsPerPass) {
  TransformerShape shape = smallShape();
  Machine machine = simpleMachine();
  machine.devices[0].memoryBandwidth = 1e15;
  Stack stack = arithmeticOnly();
  PartSeconds whole = layerSeconds(machine, stack, shape, planOf(1, 1, 1, 1, 1));
  PartSeconds split = layerSeconds(machine, stack, shape, planOf(4, 1, 1, 1, 1));
  double reduce = reduceSeconds(machine, stack, {4, 1}, 512 * 1024 * 2);
  EXPECT_NEAR(split.forward, whole.forward / 4 + 2 * reduce, 1e-9);
  EXPECT_NEAR(split.backward(), whole.backward() / 4 + 2 * reduce, 1e-9);
  stack.tensorOverlap = 0.75;
  EXPECT_NEAR(layerSeconds(machine, stack, shape, planOf(4, 1, 1, 1, 1)).forward, whole.forward / 4 + 0.5 * reduce,
              1e-9);
}

TEST(Layer, LaunchesBoundSmallLayers) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  stack.launchSeconds = 1;
  stack.overlapNorm = 1;
  double device = layerWork(machine, stack, smallShape(), planOf(1, 1, 1, 1, 1)).forward.device;
  EXPECT_DOUBLE_EQ(layerSeconds(machine, stack, smallShape(), planOf(1, 1, 1, 1, 1)).forward, device + 24);
  stack.overlapNorm = 50; // nearly the larger of the two
  EXPECT_NEAR(layerSeconds(machine, stack, smallShape(), planOf(1, 1, 1, 1, 1)).forward, 24, 1e-6);
}

TEST(Layer, TheFusedSoftmaxWantsMultiplesOfFour) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  stack.fusedAttention = false;
  stack.softmaxByFour = true;
  stack.softmaxLaunches = 18;
  TransformerShape shape = smallShape();
  EXPECT_EQ(layerWork(machine, stack, shape, planOf(4, 1, 1, 1, 1)).forward.launches, 34);      // 16 / 4
  EXPECT_EQ(layerWork(machine, stack, shape, planOf(8, 1, 1, 1, 1)).forward.launches, 34 + 18); // 16 / 8
  EXPECT_EQ(layerWork(machine, stack, shape, planOf(8, 1, 1, 2, 2)).forward.launches, 34);
}

TEST(Layer, UnalignedProductsAreSlow) {
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  EXPECT_NEAR(productSeconds(machine, stack, DType::BF16, 1, 4096, 50257, 4096) /
                  productSeconds(machine, stack, DType::BF16, 1, 4096, 50264, 4096),
              3.5, 0.01);
}

TEST(Layer, ProductsAreAtLeastTheirBytes) {
  Machine machine = simpleMachine();
  // A vector by a matrix: 2 n k bytes of weights at 1 GB/s, and little else.
  EXPECT_NEAR(productSeconds(machine, arithmeticOnly(), DType::BF16, 1, 1, 1024, 1024), 2.0 * 1024 * 1026 / 1e9, 1e-9);
}

TEST(Layer, VocabularyIsPadded) {
  TransformerShape shape = smallShape();
  shape.vocabulary = 50257;
  Stack stack;
  EXPECT_EQ(localVocabulary(stack, shape, planOf(1, 1, 1, 1, 1)), 50304);
  EXPECT_EQ(localVocabulary(stack, shape, planOf(2, 1, 1, 1, 1)), 50432 / 2);
  stack.paddedVocabulary = false;
  EXPECT_EQ(localVocabulary(stack, shape, planOf(1, 1, 1, 1, 1)), 50257);
  EXPECT_EQ(localVocabulary(stack, shape, planOf(2, 1, 1, 1, 1)), 50432 / 2);
}

TEST(Layer, ExpertsWorkOnTheTokensRoutedToThem) {
  TransformerShape shape = smallShape();
  Machine machine = simpleMachine();
  machine.devices[0].memoryBandwidth = 1e15;
  double dense = layerSeconds(machine, arithmeticOnly(), shape, planOf(1, 1, 4, 4, 16)).forward;
  shape.experts = 8, shape.topExperts = 2;
  TrainingPlan plan = planOf(1, 1, 4, 4, 16);
  double alone = layerSeconds(machine, arithmeticOnly(), shape, plan).forward;
  double inner = 2 * 2048.0 * 2 * 1024 * 4096 / 1e12; // feed-forward flops of one expert's visit
  EXPECT_NEAR(alone, dense + inner, 1e-9);
  plan.ep = 4;
  double exchange = exchangeSeconds(machine, arithmeticOnly(), expertGroup(plan), 2048.0 * 1024 * 2 * 2);
  EXPECT_NEAR(layerSeconds(machine, arithmeticOnly(), shape, plan).forward, alone + 2 * exchange, 1e-9);
}

TEST(Layer, AProfileThatCoversTheLayerIsTaken) {
  TransformerShape shape = smallShape();
  TrainingPlan plan = planOf(1, 1, 1, 2, 2);
  Machine machine = simpleMachine();
  Stack stack = arithmeticOnly();
  stack.profile = {{1024, 16, 4096, 512, 1, 2, 0.5, 1.25}};
  EXPECT_DOUBLE_EQ(layerSeconds(machine, stack, shape, plan).forward, 0.5);
  EXPECT_DOUBLE_EQ(layerSeconds(machine, stack, shape, plan).backward(), 1.25);
  plan.recompute = Recompute::Full;
  EXPECT_NEAR(layerSeconds(machine, stack, shape, plan).backward(), 1.75, 1e-9);
}

TEST(Layer, AProfileCorrectsItsNeighboursAndFades) {
  TransformerShape shape = smallShape();
  Machine machine = simpleMachine();
  Stack plain = arithmeticOnly(), stack = plain;
  double analytic = layerSeconds(machine, plain, shape, planOf(1, 1, 1, 2, 2)).forward;
  stack.profile = {{1024, 16, 4096, 512, 1, 2, 2 * analytic, 2 * analytic}};
  auto factor = [&](int64_t microbatch) {
    TrainingPlan plan = planOf(1, 1, 1, microbatch, microbatch);
    return layerSeconds(machine, stack, shape, plan).forward / layerSeconds(machine, plain, shape, plan).forward;
  };
  EXPECT_DOUBLE_EQ(factor(2), 2);
  EXPECT_GT(factor(4), 1.1);
  EXPECT_LT(factor(4), 1.9);
  EXPECT_NEAR(factor(32), 1, 0.01);
}

} // namespace
