#include "mpopt/Planning/Options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt;
using namespace mpopt::planning;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

TEST(ParseStrategy, ReadsRolesInAnyOrder) {
  Result<Strategy> strategy = parseStrategy("tp=4, dp=2");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_EQ((*strategy)[Role::Data], 2);
  EXPECT_EQ((*strategy)[Role::Tensor], 4);
  EXPECT_EQ((*strategy)[Role::Sequence], 1);
  EXPECT_EQ(strategy->devices(), 8);
  EXPECT_EQ(strategy->text(), "dp=2,tp=4");
}

TEST(ParseStrategy, ReadsPipelines) {
  Result<Strategy> strategy = parseStrategy("tp=2,pp=3,mb=8");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_EQ(strategy->stages, 3);
  EXPECT_EQ(strategy->microbatches, 8);
  EXPECT_EQ(strategy->devices(), 2);
  EXPECT_TRUE(strategy->hasRoles);
  EXPECT_EQ(strategy->text(), "pp=3,mb=8,tp=2");
  strategy = parseStrategy("pp=2");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_FALSE(strategy->hasRoles) << "the planner lays the stages out";
}

TEST(ParseStrategy, ReadsTheSizesOfStages) {
  Result<Strategy> strategy = parseStrategy("pp=4+2+1,mb=2");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_EQ(strategy->stages, 3);
  EXPECT_THAT(strategy->stageDevices, ElementsAre(4, 2, 1));
  EXPECT_TRUE(strategy->isUneven(7));
  EXPECT_EQ(strategy->text(), "pp=4+2+1,mb=2");
  strategy = parseStrategy("pp=2");
  EXPECT_TRUE(strategy->isUneven(3));
  EXPECT_FALSE(strategy->isUneven(4));
  strategy = parseStrategy("pp=2+2");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_FALSE(strategy->isUneven(4));
}

TEST(ParseStrategy, ReadsRolesPerStage) {
  Result<Strategy> strategy = parseStrategy("tp=4+2,pp=4+2,dp=1+1");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_TRUE(strategy->hasRoles);
  EXPECT_EQ(strategy->ofStage(0)[Role::Tensor], 4);
  EXPECT_EQ(strategy->ofStage(1)[Role::Tensor], 2);
  EXPECT_EQ(strategy->ofStage(1).text(), "tp=2");
  EXPECT_EQ(strategy->text(), "pp=4+2,tp=4+2") << "equal numbers are one";
  strategy = parseStrategy("pp=2,tp=2+1,sp=2");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_THAT(strategy->sizes(), ElementsAre(4, 2));
  EXPECT_TRUE(strategy->isUneven(6));
  strategy = parseStrategy("pp=2+2,tp=2+1,dp=1+2");
  ASSERT_TRUE(strategy) << strategy.error().message;
  EXPECT_TRUE(strategy->isUneven(4)) << "the roles differ";
  EXPECT_EQ(strategy->text(), "pp=2+2,dp=1+2,tp=2+1");
  EXPECT_THAT(parseStrategy("pp=2")->sizes(), ElementsAre());
}

TEST(ParseStrategy, RefusesWhatIsNotOne) {
  for (const char *text : {"",
                           "dp",
                           "dp=",
                           "=2",
                           "dp=0",
                           "dp=-1",
                           "dp=2,",
                           "dp=2;tp=2",
                           "dp=1e3",
                           "zz=2",
                           "dp=2,dp=2",
                           "pp=0",
                           "pp=2,pp=2",
                           "mb",
                           "pp=65536,dp=65536",
                           "dp=99999999999999999999",
                           "dp=65536,tp=65536",
                           "dp=2 tp=2",
                           "pp=4+",
                           "pp=+3",
                           "pp=4++3",
                           "pp=4+0",
                           "pp=4+x",
                           "pp=+",
                           "dp=4+3",
                           "pp=2,dp=4+3+1",
                           "pp=4+3,dp=4+0",
                           "pp=2,mb=2+1",
                           "pp=2,dp=2147483648+1,tp=4",
                           "pp=2,dp=2147483648+1,tp=2147483648+1,sp=2147483648+1",
                           "pp=2,dp=2147483648+2147483647"}) {
    Result<Strategy> strategy = parseStrategy(text);
    ASSERT_FALSE(strategy) << text;
    EXPECT_THAT(strategy.error().message, HasSubstr("write it like dp=2,tp=4")) << text;
  }
}

TEST(ParsePins, ReadsJsonAndToml) {
  Result<std::vector<Pin>> json =
      parsePins(R"({"pin": [{"name": "/layer.*/MatMul", "sharding": [["x0", "x1"], [], 2]}]})", "p.json");
  Result<std::vector<Pin>> toml =
      parsePins("[[pin]]\nname = '/layer.*/MatMul'\nsharding = [['x0', 'x1'], [], 2]\n", "p.toml");
  for (const Result<std::vector<Pin>> *pins : {&json, &toml}) {
    ASSERT_TRUE(*pins) << pins->error().message;
    ASSERT_EQ((*pins)->size(), 1u);
    const Pin &pin = (**pins)[0];
    EXPECT_EQ(pin.pattern, "/layer.*/MatMul");
    ASSERT_EQ(pin.dims.size(), 3u);
    EXPECT_THAT(pin.dims[0].axes, ElementsAre("x0", "x1"));
    EXPECT_THAT(pin.dims[1].axes, IsEmpty());
    EXPECT_FALSE(pin.dims[1].ways);
    EXPECT_EQ(pin.dims[2].ways, 2);
  }
}

TEST(ParsePins, RefusesWhatIsNotAPinFile) {
  const std::pair<const char *, const char *> cases[] = {
      {"", "is not JSON"},
      {"[]", "\"pin\", a list of pins"},
      {R"({"pins": []})", "\"pin\", a list of pins"},
      {R"({"pin": [7]})", "pin 1: a pin has"},
      {R"({"pin": [{"name": "a"}]})", "pin 1: a pin has"},
      {R"({"pin": [{"name": "a", "sharding": [0]}]})", "a dimension's sharding is a list of mesh axes"},
      {R"({"pin": [{"name": "a", "sharding": [[1]]}]})", "a dimension's sharding is a list of mesh axes"},
      {R"({"pin": [{"name": "a", "sharding": [], "axis": 1}]})", "there is no key 'axis'"},
  };
  for (auto [text, message] : cases) {
    Result<std::vector<Pin>> pins = parsePins(text, "p.json");
    ASSERT_FALSE(pins) << text;
    EXPECT_THAT(pins.error().message, HasSubstr("pin file 'p.json'")) << text;
    EXPECT_THAT(pins.error().message, HasSubstr(message)) << text;
  }
  Result<std::vector<Pin>> toml = parsePins("[[pin]\n", "p.toml");
  ASSERT_FALSE(toml);
  EXPECT_THAT(toml.error().message, HasSubstr("is not TOML"));
}

} // namespace
