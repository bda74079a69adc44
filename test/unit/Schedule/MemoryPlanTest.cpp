#include "mpopt/Schedule/MemoryPlan.h"
#include <gtest/gtest.h>
#include <random>

using namespace mpopt::schedule;

namespace {

std::vector<LiveBuffer> randomBuffers(unsigned seed, int count) {
  std::mt19937 random(seed);
  std::vector<LiveBuffer> buffers;
  for (int i = 0; i < count; ++i) {
    int64_t first = random() % 50;
    buffers.push_back({static_cast<int64_t>(random() % 5000), first, first + static_cast<int64_t>(random() % 10), 0});
  }
  return buffers;
}

TEST(MemoryPlan, BuffersThatLiveTogetherNeverMeet) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    auto buffers = randomBuffers(seed, 80);
    int64_t size = planMemory(buffers);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const LiveBuffer &a = buffers[i];
      EXPECT_EQ(a.offset % kAlignment, 0);
      EXPECT_LE(a.offset + a.bytes, size);
      for (size_t j = i + 1; j < buffers.size(); ++j) {
        const LiveBuffer &b = buffers[j];
        bool together = a.first <= b.last && b.first <= a.last && a.bytes > 0 && b.bytes > 0;
        EXPECT_FALSE(together && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes) << seed;
      }
    }
    EXPECT_GE(size, livenessBound(buffers));
  }
}

TEST(MemoryPlan, SharesBytesAcrossTime) {
  std::vector<LiveBuffer> chain;
  for (int64_t i = 0; i < 10; ++i)
    chain.push_back({1024, i, i + 1, 0});
  EXPECT_EQ(planMemory(chain), 2048);
}

TEST(MemoryPlan, BoundCountsWhatLivesAtOnce) {
  EXPECT_EQ(livenessBound({{64, 0, 2, 0}, {128, 2, 3, 0}, {64, 3, 4, 0}}), 192);
}

} // namespace
