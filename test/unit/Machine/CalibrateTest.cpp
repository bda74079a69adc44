#include "mpopt/Machine/Calibrate.h"

#include <gtest/gtest.h>

using namespace mpopt::machine;

namespace {

TEST(Calibrate, MeasuresPlausibleNumbersThatReadBack) {
  auto host = calibrateHost();
  ASSERT_TRUE(host.has_value());
  EXPECT_GT(host->device().peakFlops(DType::F32), 1e8);
  EXPECT_LT(host->device().peakFlops(DType::F32), 1e13);
  EXPECT_GT(host->device().memoryBandwidth, 1e7);
  EXPECT_GE(host->host->memoryBandwidth, host->device().memoryBandwidth);
  EXPECT_GT(host->links[0].latencySeconds, 0);
  EXPECT_GT(host->links[0].bandwidth, 1e6);
  EXPECT_GE(host->host->cores, 1);
  auto again = parse(toToml(*host), "written");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(toToml(*again), toToml(*host));
}

} // namespace
