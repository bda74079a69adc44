#include "mpopt/Cost/Memory.h"

#include <gtest/gtest.h>
#include <vector>

using namespace mpopt::cost;

TEST(PeakBytes, HalfOpenIntervalsDoNotMeet) {
  std::vector<LiveBuffer> buffers = {{0, 2, 10}, {2, 4, 20}, {1, 3, 5}, {3, 3, 1000}, {5, 4, 1000}};
  EXPECT_EQ(peakBytes(buffers), 25);
  EXPECT_EQ(peakBytes({}), 0);
}
