#include "mpopt/Machine/Mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt::machine;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

TEST(Mesh, OneDeviceHasNoAxes) {
  auto mesh = makeMesh(*load("h100"), 1);
  ASSERT_TRUE(mesh.has_value());
  EXPECT_TRUE(mesh->axes.empty());
  EXPECT_EQ(mesh->devices(), 1);
}

TEST(Mesh, AxesArePrimeAndOutermostFirst) {
  EXPECT_THAT(makeMesh(*load("h100"), 8)->axes,
              ElementsAre(MeshAxis{"x0", 2, 0}, MeshAxis{"x1", 2, 0}, MeshAxis{"x2", 2, 0}));
  EXPECT_THAT(makeMesh(*load("h100"), 12)->axes,
              ElementsAre(MeshAxis{"x0", 2, 1}, MeshAxis{"x1", 2, 0}, MeshAxis{"x2", 3, 0}));
  EXPECT_THAT(makeMesh(*load("test-host"), 3)->axes, ElementsAre(MeshAxis{"x0", 3, 0}));
  EXPECT_EQ(makeMesh(*load("h100"), 16384)->axes.size(), 14u);
  EXPECT_THAT(makeMesh(*load("h100"), 11)->axes, ElementsAre(MeshAxis{"x0", 11, 1}));
}

TEST(Mesh, FallsBackToFewerPerGroupWhereTheOuterLevelIsSmall) {
  Machine machine = *load("h100");
  machine.links[0].count = 8;
  machine.links[1].count = 2;
  EXPECT_EQ(makeMesh(machine, 10)->axes, (std::vector<MeshAxis>{{"x0", 2, 1}, {"x1", 5, 0}}));
  auto eleven = makeMesh(machine, 11);
  ASSERT_FALSE(eleven.has_value());
  EXPECT_THAT(eleven.error().message, HasSubstr("do not divide evenly"));
}

TEST(Mesh, TooFewAndTooManyDevicesAreErrors) {
  for (const std::string &name : shippedMachines()) {
    for (int64_t devices : {int64_t(0), int64_t(-3), int64_t(1000000)}) {
      auto mesh = makeMesh(*load(name), devices);
      ASSERT_FALSE(mesh.has_value()) << name;
      EXPECT_THAT(mesh.error().message, HasSubstr(std::to_string(devices)));
    }
  }
}

} // namespace
