#include "mpopt/Cost/Collective.h"

#include <gtest/gtest.h>
#include <numeric>

using namespace mpopt::cost;
using namespace mpopt::machine;

namespace {

constexpr Collective kAll[] = {Collective::AllReduce, Collective::AllGather, Collective::ReduceScatter,
                               Collective::AllToAll,  Collective::Permute,   Collective::Halo};

struct Setting {
  Machine machine;
  Mesh mesh;
  std::vector<int> axes; ///< all of them

  Setting(const char *name, int64_t devices)
      : machine(forDevices(*load(name), devices)), mesh(*makeMesh(machine, devices)) {
    axes.resize(mesh.axes.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  double seconds(Collective kind, double bytes) const { return collectiveSeconds(machine, mesh, axes, kind, bytes); }
};

TEST(Collective, OneRankIsFree) {
  Setting setting("h100", 1);
  for (Collective kind : kAll) {
    EXPECT_EQ(setting.seconds(kind, 1e6), 0);
    EXPECT_EQ(wireBytes(setting.mesh, setting.axes, kind, 1e6), 0);
  }
}

TEST(Collective, WireBytes) {
  Setting setting("h100", 4);
  EXPECT_DOUBLE_EQ(wireBytes(setting.mesh, setting.axes, Collective::AllReduce, 400), 600);
  EXPECT_DOUBLE_EQ(wireBytes(setting.mesh, setting.axes, Collective::AllGather, 100), 300);
  EXPECT_DOUBLE_EQ(wireBytes(setting.mesh, setting.axes, Collective::ReduceScatter, 400), 300);
  EXPECT_DOUBLE_EQ(wireBytes(setting.mesh, setting.axes, Collective::AllToAll, 400), 300);
  EXPECT_DOUBLE_EQ(wireBytes(setting.mesh, setting.axes, Collective::Permute, 400), 400);
  EXPECT_DOUBLE_EQ(wireBytes(setting.mesh, setting.axes, Collective::Halo, 400), 800);
}

TEST(Collective, TheTrafficOfAllLevelsIsTheWholeCollective) {
  Setting setting("h100", 64); // 8 nodes of 8
  for (Collective kind : kAll) {
    std::vector<LevelTraffic> levels = collectiveTraffic(setting.machine, setting.mesh, setting.axes, kind, 1 << 20);
    double seconds = 0;
    for (const LevelTraffic &level : levels)
      seconds += level.seconds;
    EXPECT_DOUBLE_EQ(seconds, setting.seconds(kind, 1 << 20));
    EXPECT_EQ(levels.back().level, 1);
  }
  auto levels = collectiveTraffic(setting.machine, setting.mesh, setting.axes, Collective::AllReduce, 6400);
  ASSERT_EQ(levels.size(), 2U);
  EXPECT_DOUBLE_EQ(levels[0].bytes, 2 * 7 / 8.0 * 6400); // reduce-scatter and all-gather within a node
  EXPECT_DOUBLE_EQ(levels[1].bytes, 2 * 7 / 8.0 * 800);  // an eighth of it between nodes
}

TEST(Collective, LargeTransfersApproachTheBandwidthAndSmallOnesTheLatency) {
  Setting setting("a100-80", 8);
  double bytes = 1e10, bandwidth = setting.machine.links[0].bandwidth,
         latency = setting.machine.links[0].latencySeconds;
  EXPECT_NEAR(setting.seconds(Collective::AllReduce, bytes), 2 * 7 / 8.0 * bytes / bandwidth, 1e-3);
  EXPECT_NEAR(setting.seconds(Collective::AllReduce, 8), latency, 1e-9);
}

TEST(Collective, SizesChooseTheAlgorithm) {
  Setting setting("a100-80", 8);
  setting.machine.links[0].algorithms = {Algorithm::Ring};
  double ringSmall = setting.seconds(Collective::AllReduce, 1e3),
         ringLarge = setting.seconds(Collective::AllReduce, 1e9);
  setting.machine.links[0].algorithms = {Algorithm::Ring, Algorithm::Tree};
  EXPECT_LT(setting.seconds(Collective::AllReduce, 1e3), ringSmall);
  EXPECT_DOUBLE_EQ(setting.seconds(Collective::AllReduce, 1e9), ringLarge);
}

TEST(Collective, AllReduceIsReduceScatterThenAllGather) {
  for (const char *name : {"h100", "test-host", "t4"}) {
    Setting setting(name, 16);
    double bytes = 1e9;
    double halves =
        setting.seconds(Collective::ReduceScatter, bytes) + setting.seconds(Collective::AllGather, bytes / 16);
    EXPECT_NEAR(setting.seconds(Collective::AllReduce, bytes) / halves, 1, 1e-3) << name;
  }
}

TEST(Collective, HierarchyBeatsSendingEverythingOverTheSlowLinks) {
  Setting setting("h100", 64);
  double bytes = 1e9;
  double flat = 2 * 63 / 64.0 * bytes / setting.machine.links[1].bandwidth;
  EXPECT_LT(setting.seconds(Collective::AllReduce, bytes), 0.5 * flat);
}

TEST(Collective, OuterAxesAreSlowerAndMoreBytesAreNeverFaster) {
  Setting setting("a100-80", 64);
  std::vector<int> outer = {0}, inner = {5};
  ASSERT_EQ(setting.mesh.axes[0].level, 1);
  ASSERT_EQ(setting.mesh.axes[5].level, 0);
  for (Collective kind : kAll) {
    EXPECT_GT(collectiveSeconds(setting.machine, setting.mesh, outer, kind, 1e6),
              collectiveSeconds(setting.machine, setting.mesh, inner, kind, 1e6));
    double last = 0;
    for (double bytes = 1; bytes < 1e10; bytes *= 3) {
      EXPECT_GE(setting.seconds(kind, bytes), last);
      last = setting.seconds(kind, bytes);
    }
  }
}

TEST(Collective, RanksShareABus) {
  Setting two("test-host", 2), four("test-host", 4), eight("test-host", 8);
  std::vector<int> axis = {0};
  double alone = collectiveSeconds(two.machine, two.mesh, axis, Collective::Permute, 1e8);
  EXPECT_NEAR(collectiveSeconds(four.machine, four.mesh, axis, Collective::Permute, 1e8) / alone, 1, 1e-6);
  EXPECT_GT(collectiveSeconds(eight.machine, eight.mesh, axis, Collective::Permute, 1e8), 1.5 * alone);
}

} // namespace
