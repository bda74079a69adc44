#include "mpopt/Search/ContestFormat.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt::search;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

class ContestFormat : public testing::Test {
protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string file(const std::string &name, const std::string &text) {
    std::string path = (folder / name).string();
    std::ofstream(path) << text;
    return path;
  }
  std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
};

constexpr const char *kExample = R"({"problem": {"name": "example",
  "nodes": {"intervals": [[0, 4], [2, 2]], "costs": [[1, 2], [1000000000000000000, 7]], "usages": [[5, 6], [8, 9]]},
  "edges": {"nodes": [[0, 1], [0, 1]], "costs": [[1, 2, 3, 4], [1, 2, 3, 4]]},
  "usage_limit": 11}})";

TEST_F(ContestFormat, ReadsTheContestsExampleAndSharesEqualMatrices) {
  auto problem = readContestFile(file("p.json", kExample));
  ASSERT_TRUE(problem.has_value()) << problem.error().message;
  EXPECT_EQ(problem->name, "example");
  EXPECT_THAT(problem->nodes[1].costs, ElementsAre(kForbidden, 7));
  EXPECT_THAT(problem->nodes[0].usages[0].usages, ElementsAre(5, 6));
  EXPECT_EQ(problem->edges.size(), 2u);
  EXPECT_EQ(problem->matrices.size(), 1u);
  EXPECT_EQ(problem->usageLimit, 11);
}

TEST_F(ContestFormat, WhatIsWrittenReadsBackPlainAndGzipped) {
  auto problem = readContestFile(file("p.json", kExample));
  ASSERT_TRUE(problem.has_value());
  for (const char *name : {"again.json", "again.json.gz"}) {
    std::string path = (folder / name).string();
    ASSERT_TRUE(writeContestFile(*problem, path).has_value());
    auto again = readContestFile(path);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->nodes[1].costs, problem->nodes[1].costs);
    EXPECT_EQ(again->nodes[0].usages[0].usages, problem->nodes[0].usages[0].usages);
    EXPECT_EQ(again->matrices[0].values, problem->matrices[0].values);
    EXPECT_EQ(again->usageLimit, problem->usageLimit);
  }
}

TEST_F(ContestFormat, BadFilesAreErrors) {
  EXPECT_FALSE(readContestFile("/no/such/file.json").has_value());
  EXPECT_FALSE(readContestFile(file("cut.json", std::string(kExample).substr(0, 100))).has_value());
  EXPECT_FALSE(readContestFile(file("type.json", R"({"problem": {"nodes": 3}})")).has_value());
  std::string wrong = kExample;
  wrong.replace(wrong.find("[0, 1], [0, 1]"), 14, "[0, 7], [0, 1]");
  EXPECT_FALSE(readContestFile(file("range.json", wrong)).has_value());
  wrong = kExample;
  wrong.replace(wrong.find("[1, 2, 3, 4]"), 12, "[1, 2, 3]");
  EXPECT_THAT(readContestFile(file("size.json", wrong)).error().message, HasSubstr("matrix"));
}

TEST_F(ContestFormat, ReadsWhateverJsonAllows) {
  std::string text = R"({"other": [true, false, null, {"a": "\"}"}], "problem": {"usage_limit": null, "more": {},
    "nodes": {"costs": [[-1.5, 2e3], [ 0.25 ,1E18]], "usages": [[1, 2], [3, 4]], "intervals": [[0, 1], [0, 1]]},
    "edges": {"costs": [], "nodes": []}}})";
  auto problem = readContestFile(file("p.json", text));
  ASSERT_TRUE(problem.has_value()) << problem.error().message;
  EXPECT_THAT(problem->nodes[0].costs, ElementsAre(-1.5, 2000));
  EXPECT_THAT(problem->nodes[1].costs, ElementsAre(0.25, kForbidden));
  EXPECT_FALSE(problem->usageLimit.has_value());
}

TEST_F(ContestFormat, BadJsonNamesTheFileAndThePlace) {
  std::string deep(100000, '[');
  for (const std::string &text :
       std::vector<std::string>{std::string(), std::string("{"), std::string("{\"problem\": 1}"),
                                std::string(kExample) + "x", deep, "{\"problem\": {\"nodes\": {\"costs\": [[1, -]]",
                                "{\"problem\": {\"nodes\": {\"costs\": [[1, nan]]", std::string("{\"a\": ") + deep}) {
    auto problem = readContestFile(file("bad.json", text));
    ASSERT_FALSE(problem.has_value());
    EXPECT_THAT(problem.error().message, HasSubstr("bad.json'"));
    EXPECT_THAT(problem.error().message, HasSubstr("at byte"));
  }
}

TEST_F(ContestFormat, SeveralIntervalsDoNotFit) {
  auto problem = readContestFile(file("p.json", kExample));
  problem->nodes[0].usages.push_back(problem->nodes[0].usages[0]);
  EXPECT_FALSE(writeContestFile(*problem, (folder / "out.json").string()).has_value());
}

} // namespace
