#ifndef MPOPT_TEST_UNIT_COST_TRAININGFIXTURES_H
#define MPOPT_TEST_UNIT_COST_TRAININGFIXTURES_H

#include "mpopt/Cost/Training/Step.h"

#include <gtest/gtest.h>

namespace mpopt::cost {

/// Round numbers: 1 Tflop/s, 1 GB/s of memory, one tile of one element, nodes of 4 at 1 GB/s, 0.1 GB/s beyond.
inline machine::Machine simpleMachine() {
  machine::Machine machine;
  machine.name = "simple";
  machine.devices.resize(1);
  machine.devices[0].peak[static_cast<size_t>(machine::DType::BF16)] = 1e12;
  machine.devices[0].vectorFlops = 1e12;
  machine.devices[0].memoryBytes = int64_t(16) << 30;
  machine.devices[0].memoryBandwidth = 1e9;
  machine.devices[0].matmul.tiles = {{1, 1, 1.0}};
  machine.links = {{"inner", 4, 1e-6, 1e9, 0, {}}, {"outer", 1024, 1e-5, 1e8, 0, {}}};
  machine.groups = {{0, int64_t(1) << 40}};
  return machine;
}

/// Nothing but arithmetic.
inline machine::Stack arithmeticOnly() {
  machine::Stack stack;
  stack.pointwise = 0;
  stack.launchSeconds = 0;
  stack.microbatchSeconds = 0;
  stack.stepSeconds = 0;
  stack.optimizerBytes = 0;
  stack.latency = 0;
  stack.fusedAttention = true;
  stack.attention = 1;
  return stack;
}

inline TransformerShape smallShape() {
  TransformerShape shape;
  shape.layers = 8;
  shape.hidden = 1024;
  shape.heads = shape.kvHeads = 16;
  shape.feedForward = 4096;
  shape.sequence = 512;
  shape.vocabulary = 32768;
  return shape;
}

inline TrainingPlan planOf(int64_t tp, int64_t pp, int64_t dp, int64_t microbatch, int64_t globalBatch) {
  TrainingPlan plan;
  plan.tp = tp, plan.pp = pp, plan.dp = dp, plan.microbatch = microbatch, plan.globalBatch = globalBatch;
  return plan;
}

inline StepPrice price(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                       const TrainingPlan &plan) {
  Result<StepPrice> result = priceStep(machine, stack, shape, plan);
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message);
  return result.value_or(StepPrice{});
}

} // namespace mpopt::cost

#endif // MPOPT_TEST_UNIT_COST_TRAININGFIXTURES_H
