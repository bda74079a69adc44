#include "FusedAxes.h"
#include "Prices.h"
#include "Strategies.h"
#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::planning;

namespace {

class FusedAxes : public testing::Test {
protected:
  FusedAxes() {
    context.loadDialect<shd::ShdDialect>();
    machine = *machine::load("h100");
  }
  PlanMesh meshOf(int64_t devices) {
    PlanOptions options;
    options.machine = &machine;
    options.devices = devices;
    return *makePlanMesh(&context, options);
  }
  /// All shardings of a type that strategies may ask for.
  std::vector<shd::ShardingAttr> shardingsOf(ArrayRef<int64_t> shape, const PlanMesh &mesh) {
    shd::PartitionRule rule = identityRule(shape);
    rule.linearIn = {{0}};
    std::vector<shd::ShardingAttr> all;
    for (const Candidate &candidate : enumerateCandidates(rule, mesh, {true}, {}))
      all.push_back(candidate.shardings.out[0]);
    return all;
  }

  MLIRContext context;
  machine::Machine machine;
};

PlainSharding plain(SmallVector<PlainSharding::Axes, 4> dims, PlainSharding::Axes unreduced = {}) {
  PlainSharding sharding;
  sharding.blocks.assign(dims.size(), 1);
  sharding.dims = std::move(dims);
  sharding.unreduced = std::move(unreduced);
  return sharding;
}

TEST_F(FusedAxes, WhatLiesSideBySideBeforeAndAfterIsOneAxis) {
  PlanMesh mesh = meshOf(64); // x0 to x2 between nodes, x3 to x5 inside
  EXPECT_EQ(commonRuns(plain({{0, 1, 2}, {}}), plain({{}, {0, 1, 2}}), mesh), (AxisRuns{0, 3}));
  EXPECT_EQ(commonRuns(plain({{0, 1, 2}, {3, 4, 5}}), plain({{0, 1}, {3, 4, 5}}, {2}), mesh), (AxisRuns{0, 2, 3}));
  EXPECT_EQ(commonRuns(plain({{3, 4}, {}}), plain({{4, 3}, {}}), mesh), (AxisRuns{0, 3, 4, 5}));
  PlanMesh own = fusedMesh(mesh, {0, 2, 3});
  ASSERT_EQ(own.size(), 3u);
  EXPECT_EQ(own.mesh.axes[0].size, 4);
  EXPECT_EQ(own.mesh.axes[2].size, 8);
  EXPECT_EQ(own.mesh.axes[2].level, 0);
  PlainSharding fewer = fused(plain({{0, 1}, {3, 4, 5}}, {2}), {0, 2, 3});
  EXPECT_EQ(fewer.dims[0], (PlainSharding::Axes{0}));
  EXPECT_EQ(fewer.dims[1], (PlainSharding::Axes{2}));
  EXPECT_EQ(fewer.unreduced, (PlainSharding::Axes{1}));
}

/// Against the table of all single axes: a way of runs is a way of axes, and hardly ever is there a better one.
TEST_F(FusedAxes, PricesAreThoseOfSingleAxes) {
  PlanMesh mesh = meshOf(16);
  auto type = RankedTensorType::get({64, 512, 768}, BFloat16Type::get(&context));
  std::vector<shd::ShardingAttr> all = shardingsOf(type.getShape(), mesh);
  Prices prices(machine, mesh, 0);
  ReshardTable table(type, 2, mesh);
  int equal = 0, pairs = 0;
  for (size_t i = 0; i < all.size(); i += 7)
    for (shd::ShardingAttr to : all) {
      double found = prices.reshard(prices.intern(all[i]), prices.intern(to), type);
      int first = *table.numberOf(PlainSharding::of(all[i], mesh)), last = *table.numberOf(PlainSharding::of(to, mesh));
      double least =
          table.find(first, last, [&](shd::ReshardStep::Kind kind, ArrayRef<int> axes, double in, double out) {
            SmallVector<StringAttr> names;
            for (int axis : axes)
              names.push_back(mesh.axes[axis]);
            shd::ReshardStep step;
            step.kind = kind;
            step.axes = names;
            return prices.step(step, in, out);
          });
      std::string text;
      llvm::raw_string_ostream(text) << all[i] << " to " << to;
      EXPECT_GE(found, least - 1e-12) << text;
      EXPECT_LE(found, 1.5 * least + 1e-12) << text;
      equal += found <= least * (1 + 1e-9);
      ++pairs;
    }
  EXPECT_GT(pairs, 2000);
  EXPECT_GE(equal, 0.97 * pairs) << equal << " of " << pairs;
}

/// Ways that take many runs go through shardings of whole levels; that is seldom much dearer.
TEST_F(FusedAxes, PricesThroughWholeLevelsAreNearTheLeast) {
  PlanMesh mesh = meshOf(32);
  auto type = RankedTensorType::get({64, 512, 768}, BFloat16Type::get(&context));
  std::vector<shd::ShardingAttr> all = shardingsOf(type.getShape(), mesh);
  Prices prices(machine, mesh, 0);
  std::map<AxisRuns, std::pair<PlanMesh, std::unique_ptr<ReshardTable>>> tables;
  int near = 0, far = 0, pairs = 0;
  for (size_t i = 0; i < all.size(); i += 5)
    for (size_t j = 0; j < all.size(); j += 3) {
      PlainSharding from = PlainSharding::of(all[i], mesh), to = PlainSharding::of(all[j], mesh);
      AxisRuns runs = commonRuns(from, to, mesh);
      if (runs.size() <= 3)
        continue;
      auto &[own, table] = tables[runs];
      if (!table) {
        own = fusedMesh(mesh, runs);
        table = std::make_unique<ReshardTable>(type, 2, own);
      }
      int first = *table->numberOf(fused(from, runs)), last = *table->numberOf(fused(to, runs));
      double least =
          table->find(first, last, [&](shd::ReshardStep::Kind kind, ArrayRef<int> axes, double in, double out) {
            return prices.step(own.mesh, kind, axes, in, out);
          });
      double found = prices.reshard(prices.intern(all[i]), prices.intern(all[j]), type);
      EXPECT_GE(found, least - 1e-12);
      far += found > 2 * least;
      near += found <= 1.25 * least;
      ++pairs;
    }
  EXPECT_GT(pairs, 2000);
  EXPECT_GE(near, 0.8 * pairs) << near << " of " << pairs;
  EXPECT_LE(far, 0.02 * pairs) << far << " of " << pairs;
}

/// What decides how long planning takes: with each doubling of the devices it must not double.
TEST_F(FusedAxes, StrategiesGrowSlowlyWithTheDevices) {
  size_t counts[4];
  for (int i = 0; i < 4; ++i)
    counts[i] = shardingsOf({4096, 4096, 4096}, meshOf(int64_t(16) << i)).size();
  RecordProperty("counts", std::to_string(counts[0]) + " " + std::to_string(counts[1]) + " " +
                               std::to_string(counts[2]) + " " + std::to_string(counts[3]));
  EXPECT_LT(counts[3], 3 * counts[0]);
}

} // namespace
