#include "mpopt/Dialect/Shd/Blocks.h"

#include <gtest/gtest.h>

using namespace mpopt::shd;

namespace {

/// One block after the other.
std::optional<int64_t> tried(int64_t size, int64_t local, int64_t devices) {
  for (int64_t block = 1; block <= std::max<int64_t>(size, 1); ++block)
    if (size % block == 0 && localSize(size, block, devices) == local)
      return block;
  return std::nullopt;
}

TEST(Blocks, AreTheSmallestThatGiveALocalSize) {
  for (int64_t size = 0; size <= 72; ++size)
    for (int64_t devices = 1; devices <= 9; ++devices)
      for (int64_t local = 0; local <= size + 2; ++local)
        EXPECT_EQ(blockThatGives(size, local, devices), tried(size, local, devices))
            << size << " over " << devices << " as " << local;
}

TEST(Blocks, StayOrShrink) {
  for (int64_t size = 1; size <= 48; ++size)
    for (int64_t devices = 1; devices <= 8; ++devices)
      for (int64_t block = 1; block <= size; ++block) {
        int64_t smallest = smallestBlock(size, block, devices);
        EXPECT_LE(smallest, block);
        EXPECT_EQ(localSize(size, smallest, devices), localSize(size, block, devices));
      }
}

TEST(Blocks, OfHugeSizesTakeNoTime) {
  int64_t huge = int64_t(3) << 40;
  EXPECT_EQ(smallestBlock(huge, huge / 3, 2), int64_t(1) << 40);
  EXPECT_EQ(smallestBlock(huge, huge / 4, 4), 1);
}

} // namespace
