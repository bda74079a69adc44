#include "mpopt/Cost/Cost.h"

#include <gtest/gtest.h>

using namespace mpopt::cost;
using namespace mpopt::machine;

namespace {

TEST(MatmulSeconds, LargeProductsReachTheSustainedRate) {
  Machine machine = *load("a100-80");
  double ideal = 2.0 * 8192 * 8192 * 8192 / (312e12 * 0.85);
  double seconds = matmulSeconds(machine, DType::BF16, 1, 8192, 8192, 8192);
  EXPECT_GT(seconds, ideal);
  EXPECT_LT(seconds, 1.15 * ideal);
}

TEST(MatmulSeconds, OneTileMoreThanAWaveCostsAWholeWave) {
  Machine machine = *load("a100-80");
  machine.devices[0].matmul.tiles = {{128, 128, 1.0}};
  double full = matmulSeconds(machine, DType::F16, 1, 128 * 108, 128, 4096);
  EXPECT_DOUBLE_EQ(matmulSeconds(machine, DType::F16, 1, 128 * 108 + 1, 128, 4096), 2 * full);
  EXPECT_DOUBLE_EQ(matmulSeconds(machine, DType::F16, 108, 1, 1, 4096), full);
}

TEST(MatmulSeconds, SmallDepthIsDearPerFlop) {
  Machine machine = *load("h100");
  EXPECT_GT(16 * matmulSeconds(machine, DType::BF16, 1, 4096, 4096, 64),
            1.5 * matmulSeconds(machine, DType::BF16, 1, 4096, 4096, 1024));
}

TEST(MatmulSeconds, EmptyProductsAreFree) { EXPECT_EQ(matmulSeconds(*load("h100"), DType::F32, 4, 0, 5, 6), 0); }

TEST(MatmulSeconds, SplittingNeverCostsMoreOnTheHost) {
  Machine machine = *load("test-host");
  double whole = matmulSeconds(machine, DType::F32, 1, 128, 768, 768);
  EXPECT_LT(matmulSeconds(machine, DType::F32, 1, 128, 384, 768), 0.52 * whole);
  EXPECT_LT(matmulSeconds(machine, DType::F32, 1, 128, 768, 384), 0.52 * whole);
}

TEST(MemorySeconds, CacheIsFasterAndTimeIsMonotone) {
  Machine machine = *load("test-host");
  double inCache = memorySeconds(machine, 1 << 20);
  EXPECT_DOUBLE_EQ(inCache, double(1 << 20) / 5.0e10);
  EXPECT_DOUBLE_EQ(memorySeconds(machine, (1 << 20) + 1.2e10), inCache + 1);
  EXPECT_EQ(memorySeconds(machine, 0), 0);
}

TEST(OpSeconds, IsLaunchPlusTheSlowerOfArithmeticAndTraffic) {
  Machine machine = *load("h100");
  OpCost copy;
  copy.bytesRead = copy.bytesWritten = 1e9;
  copy.launches = 2;
  EXPECT_DOUBLE_EQ(opSeconds(machine, copy), launchSeconds(machine, 2) + memorySeconds(machine, 2e9));
  OpCost matmul;
  matmul.matmuls.push_back({DType::BF16, 1, 8192, 8192, 8192});
  matmul.bytesRead = 1e6;
  EXPECT_DOUBLE_EQ(opSeconds(machine, matmul),
                   launchSeconds(machine, 1) + matmulSeconds(machine, DType::BF16, 1, 8192, 8192, 8192));
}

TEST(OpSeconds, AddsWhatTheDeviceDoesNotOverlap) {
  Machine machine = *load("h100");
  OpCost op;
  op.matmuls.push_back({DType::BF16, 1, 8192, 8192, 8192});
  op.bytesRead = 1e6;
  double arithmetic = matmulSeconds(machine, DType::BF16, 1, 8192, 8192, 8192), traffic = memorySeconds(machine, 1e6);
  machine.devices[0].overlap = 0.25;
  EXPECT_DOUBLE_EQ(exposedSeconds(machine, opTimes(machine, op)), 0.75 * traffic);
  EXPECT_DOUBLE_EQ(opSeconds(machine, op), launchSeconds(machine, 1) + arithmetic + 0.75 * traffic);
}

TEST(OpSeconds, ReadsWeightsFromMemoryEvenWhereTheyWouldFitTheCache) {
  Machine machine = *load("test-host");
  OpCost op;
  op.bytesRead = 3e5;
  op.bytesCold = 2e5;
  EXPECT_DOUBLE_EQ(opTimes(machine, op).traffic, 2e5 / machine.device().memoryBandwidth + memorySeconds(machine, 1e5));
}

TEST(OpSeconds, ReadsWeightsThatTheHostsCacheHoldsAtItsRate) {
  Machine machine = *load("test-host");
  machine.host->cacheBytes = 8'000'000;
  machine.host->cacheBandwidth = 2 * machine.device().memoryBandwidth;
  EXPECT_EQ(heldShare(machine, 4e6), 1);
  EXPECT_EQ(heldShare(machine, 32e6), 0.25);
  EXPECT_EQ(heldShare(machine, 0), 0);
  EXPECT_EQ(heldShare(*load("h100"), 4e6), 0);
  OpCost op;
  op.bytesRead = 3e5;
  op.bytesShared = 2e5;
  EXPECT_DOUBLE_EQ(opTimes(machine, op).traffic, 2e5 / machine.host->cacheBandwidth + memorySeconds(machine, 1e5));
}

TEST(OpSeconds, AttentionReachesItsShareOfTheRateOfProducts) {
  Machine machine = *load("test-host");
  machine.devices[0].matmul.attention = 0.5;
  OpCost product, attention;
  product.matmuls.push_back({DType::F32, 12, 128, 128, 128});
  attention.matmuls.push_back({DType::F32, 12, 128, 128, 128, true});
  EXPECT_DOUBLE_EQ(opTimes(machine, attention).arithmetic, 2 * opTimes(machine, product).arithmetic);
}

} // namespace
