// mpopt-run from the outside: what it writes, prints and returns.
#include "PlanMaker.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sys/wait.h>

namespace mpopt::runtime {
namespace {

using testing::HasSubstr;

struct Outcome {
  int code;
  std::string text; // of both outputs
};

Outcome call(const std::string &arguments) {
  FILE *pipe = popen((std::string(MPOPT_RUN_TOOL) + " " + arguments + " 2>&1").c_str(), "r");
  Outcome outcome;
  std::array<char, 4096> part;
  while (size_t bytes = fread(part.data(), 1, part.size(), pipe))
    outcome.text.append(part.data(), bytes);
  outcome.code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

/// "y/out" = "x" + 1 on two ranks, and the files for it.
class ToolTest : public testing::Test {
protected:
  void SetUp() override {
    PlanMaker maker(2);
    uint32_t x = maker.work({1, 64}), y = maker.work({1, 64});
    maker.kernel("add_one", {x}, {y});
    maker.collective(plan::CollectiveKind::all_reduce, maker.groups({{0}, {1}}), y, y);
    maker.input("x", {static_cast<int32_t>(x)});
    maker.output("y/out", {static_cast<int32_t>(y)});
    maker.plan.account = R"({"strategy": "dp=2"})";
    folder = testFolder();
    plan = maker.write();
    std::vector<double> values(128);
    std::iota(values.begin(), values.end(), 0.0);
    EXPECT_TRUE(writeNpy(folder + "/x.npy", makeTensor(plan::DType::f32, {2, 64}, values)));
    for (double &value : values)
      value += 1;
    EXPECT_TRUE(writeNpy(folder + "/y.npy", makeTensor(plan::DType::f32, {2, 64}, values)));
  }
  void refused(const std::string &arguments, const std::string &message) {
    Outcome outcome = call(arguments);
    EXPECT_EQ(outcome.code, 1) << outcome.text;
    EXPECT_THAT(outcome.text, testing::StartsWith("mpopt-run: error: "));
    EXPECT_THAT(outcome.text, HasSubstr(message));
    EXPECT_EQ(std::ranges::count(outcome.text, '\n'), 1) << outcome.text;
  }
  std::string folder, plan;
};

TEST_F(ToolTest, runsChecksAndReports) {
  for (const char *ranks : {"threads", "processes"}) {
    Outcome outcome =
        call(plan + " --input x=" + folder + "/x.npy --output-dir " + folder + "/out --repeat 3 --ranks " + ranks +
             " --check y/out=" + folder + "/y.npy --json " + folder + "/report.json --trace " + folder + "/trace.json");
    EXPECT_EQ(outcome.code, 0) << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr("y/out: relative error 0, tolerance 0.0001: ok"));
    EXPECT_THAT(outcome.text, HasSubstr("2 ranks, 3 steps: min"));
    auto found = readNpy(folder + "/out/y_out.npy"), expected = readNpy(folder + "/y.npy");
    ASSERT_TRUE(found && expected);
    EXPECT_EQ(found->data, expected->data);
    std::ifstream file(folder + "/report.json");
    nlohmann::json report = nlohmann::json::parse(file);
    EXPECT_EQ(report["account"]["strategy"], "dp=2");
    EXPECT_EQ(report["checks"]["y/out"]["passed"], true);
    EXPECT_EQ(report["step_seconds"]["all"].size(), 3u);
    EXPECT_EQ(report["ranks"][1]["work_bytes"], 512);
    EXPECT_EQ(report["ranks"][1]["collectives"]["all_reduce"]["count"], 1);
    EXPECT_EQ(report["ranks"][1]["instructions"]["KernelCall"], 1);
  }
}

TEST_F(ToolTest, randomInputsAreReproducible) {
  for (const char *out : {"/a", "/b"}) {
    Outcome outcome = call(plan + " --seed 5 --output-dir " + folder + out);
    EXPECT_EQ(outcome.code, 0) << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr("random inputs (seed 5): x"));
  }
  EXPECT_EQ(readNpy(folder + "/a/y_out.npy")->data, readNpy(folder + "/b/y_out.npy")->data);
}

TEST_F(ToolTest, refusals) {
  std::string x = " --input x=" + folder + "/x.npy";
  refused(folder + "/none.mpplan", "none.mpplan");
  refused("", "plan is required");
  refused(plan + " --input z=" + folder + "/x.npy", "no 'z', it has x");
  refused(plan + " --input " + folder + "/x.npy", "takes name=file.npy");
  refused(plan + x + x, "'x' twice");
  refused(plan + " --input x=" + folder + "/none.npy", "none.npy");
  refused(plan + x + " --check y=" + folder + "/y.npy", "no 'y', it has y/out");
  refused(plan + x + " --ranks cores", "cores");
  refused(plan + x + " --repeat 0", "--repeat");
  refused(plan + x + " --output-dir " + plan, "cannot make folder");
  EXPECT_THAT(call(plan + x + " --json " + folder + "/no/report.json").text, HasSubstr("no/report.json"));
  EXPECT_TRUE(writeNpy(folder + "/x.npy", makeTensor(plan::DType::f64, {2, 64}, std::vector<double>(128))));
  refused(plan + x, "input 'x' is float64 [2, 64], the plan takes float32 [2, 64]");
}

TEST_F(ToolTest, differenceFails) {
  Outcome outcome = call(plan + " --input x=" + folder + "/x.npy --check y/out=" + folder + "/x.npy");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.text, HasSubstr("too large"));
}

TEST_F(ToolTest, rankThatDies) {
  for (const char *ranks : {"threads", "processes"}) {
    Outcome outcome = call(plan + " --repeat 5 --ranks " + ranks);
    EXPECT_EQ(outcome.code, 0);
    setenv("MPOPT_FAULT", "kill:1:3:1", 1);
    outcome = call(plan + " --input x=" + folder + "/x.npy --repeat 5 --ranks " + ranks);
    unsetenv("MPOPT_FAULT");
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.text, HasSubstr("at step 3 in all_reduce#1 (node /layer/node)"));
  }
}

} // namespace
} // namespace mpopt::runtime
