#include "mpopt/Search/GraphPlanner.h"
#include "mpopt/Search/TrainingAccount.h"

#include <gtest/gtest.h>

using namespace mpopt;
using namespace mpopt::search;

namespace {

/// Blocks that are either long to compute with few parameters, or the other way round; either way they can be split over the batch, or over
/// features with some traffic.
class TwoKinds final : public GraphModel {
public:
  std::vector<LayerRun> runs() const override { return {{0, 4}, {1, 2}}; }
  int kinds() const override { return 2; }
  BlockTable table(int kind, int64_t devices, int64_t samples) const override {
    BlockTable table(kBlockStates * kBlockStates);
    double work = (kind == 0 ? 1e-4 : 1e-5) * double(samples) / double(devices);
    double parameters = kind == 0 ? 1e5 : 5e7, traffic = 1e-6 * double(samples);
    table[0] = {{"data", {work, work, work}, parameters, parameters, 1e3 * double(samples) / double(devices)}};
    if (devices > 1)
      table[0].push_back({"model",
                          {work + traffic, work + traffic, work},
                          parameters / double(devices),
                          0,
                          1e3 * double(samples) / double(devices)});
    return table;
  }
  double inputBytes(int) const override { return 1e3; }
  double forwardFlops() const override { return 1e9; }
};

class GraphPlannerTest : public testing::Test {
protected:
  GraphPlannerTest() {
    query.machine = &machine;
    query.stack = &stack;
    query.model = &model;
    query.devices = 8;
    query.globalBatch = 256;
  }

  machine::Machine machine = *machine::load("v100-16");
  machine::Stack stack = *machine::loadStack("default");
  TwoKinds model;
  GraphQuery query;
};

TEST_F(GraphPlannerTest, SplitsBatchesWhereComputingIsLongAndModelsWhereWeightsAreLarge) {
  query.stages = 1;
  query.microbatch = 256;
  auto answer = planGraph(query);
  ASSERT_TRUE(answer) << answer.error().message;
  const GraphCandidate &plan = answer->plans[0];
  ASSERT_EQ(plan.stages.size(), 1U);
  EXPECT_EQ(plan.stages[0].words, (std::vector<std::string>{"data", "data", "data", "data", "model", "model"}));
  EXPECT_LE(answer->lowerBound, plan.price.seconds);
  EXPECT_NE(trainingAccount(query, *answer, {std::vector<std::string>(6, "block"), std::vector<std::string>(6, "op")})
                .find("\"split\":\"model\""),
            std::string::npos);
}

TEST_F(GraphPlannerTest, StagesUseAllDevicesAndMayDifferInSize) {
  query.stages = 2;
  query.microbatch = 24;
  query.globalBatch = 24 * 16;
  auto answer = planGraph(query);
  ASSERT_TRUE(answer) << answer.error().message;
  const GraphCandidate &plan = answer->plans[0];
  ASSERT_EQ(plan.stages.size(), 2U);
  EXPECT_EQ(plan.stages[0].devices + plan.stages[1].devices, 8);
  EXPECT_NE(plan.stages[0].devices, plan.stages[1].devices);
  EXPECT_EQ(plan.microbatches, 16);
  EXPECT_EQ(plan.stages[1].firstDevice, plan.stages[0].devices);
}

TEST_F(GraphPlannerTest, PlansAreInOrder) {
  auto answer = planGraph(query);
  ASSERT_TRUE(answer) << answer.error().message;
  for (size_t i = 1; i < answer->plans.size(); ++i)
    EXPECT_LE(answer->plans[i - 1].price.seconds, answer->plans[i].price.seconds);
}

TEST_F(GraphPlannerTest, RefusesWhatDoesNotFit) {
  machine.devices[0].memoryBytes = 1000;
  auto answer = planGraph(query);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("fits the memory"), std::string::npos);
  EXPECT_TRUE(answer.error().lacksMemory);
  machine.devices[0].memoryBytes = int64_t(1) << 40;
  query.stages = 1000;
  answer = planGraph(query);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("meets the choices that were forced"), std::string::npos)
      << answer.error().message;
  EXPECT_FALSE(answer.error().lacksMemory);
  query.stages = {};
  query.devices = 0;
  EXPECT_FALSE(planGraph(query));
}

TEST(LayoutPins, ReadsWhatIsForced) {
  auto pins = parseLayoutPins("dp=8,tp=4,mb=2,zero=3,recompute=selective,schedule=zb-h1");
  ASSERT_TRUE(pins) << pins.error().message;
  EXPECT_EQ(pins->dp, 8);
  EXPECT_EQ(pins->tp, 4);
  EXPECT_EQ(pins->microbatch, 2);
  EXPECT_EQ(pins->sharding, cost::StateSharding::Parameters);
  EXPECT_EQ(pins->recompute, cost::Recompute::Selective);
  EXPECT_EQ(pins->schedule, cost::Schedule::ZeroBubbleH1);
  EXPECT_FALSE(pins->pp);
  EXPECT_TRUE(parseLayoutPins(""));
  for (const char *bad : {"dp", "dp=", "dp=0", "dp=1,dp=2", "dp=x", "zero=4", "schedule=fast", "=3", "xp=1"})
    EXPECT_FALSE(parseLayoutPins(bad)) << bad;
}

} // namespace
