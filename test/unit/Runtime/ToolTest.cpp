// mpopt-run from the outside: what it writes, prints and returns.
#include "PlanMaker.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sys/wait.h>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

using testing::HasSubstr;

struct Outcome {
  int code;
  std::string text; // of both outputs
};

/// Runs the tool in a shell; `before` is what stands before the command there.
Outcome call(const std::string &arguments, const std::string &before = "") {
  FILE *pipe = popen((before + MPOPT_RUN_TOOL + " " + arguments + " 2>&1").c_str(), "r");
  Outcome outcome;
  std::array<char, 4096> part;
  while (size_t bytes = fread(part.data(), 1, part.size(), pipe))
    outcome.text.append(part.data(), bytes);
  outcome.code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

/// Number of living processes whose environment holds `mark`.
size_t processesWith(const std::string &mark) {
  size_t count = 0;
  for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "environ");
    std::string environment(std::istreambuf_iterator<char>(file), {});
    count += environment.find(mark) != std::string::npos && getpid() != std::atoi(entry.path().filename().c_str());
  }
  return count;
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
  refused(plan + x + " --json " + folder + "/no/report.json", "no/report.json");
  EXPECT_TRUE(writeNpy(folder + "/x.npy", makeTensor(plan::DType::f64, {2, 64}, std::vector<double>(128))));
  refused(plan + x, "input 'x' is float64 [2, 64], the plan takes float32 [2, 64]; convert it with numpy's astype");
  EXPECT_TRUE(writeNpy(folder + "/x.npy", makeTensor(plan::DType::f32, {64}, std::vector<double>(64))));
  refused(plan + x, "input 'x' is float32 [64], the plan takes float32 [2, 64]; plan the model for other sizes");
}

TEST_F(ToolTest, differenceFails) {
  Outcome outcome = call(plan + " --input x=" + folder + "/x.npy --check y/out=" + folder + "/x.npy");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.text, HasSubstr("too large"));
}

TEST_F(ToolTest, rankThatDies) {
  for (const char *ranks : {"threads", "processes"})
    for (const char *how : {"kill", "segv", "bus"}) {
      std::string fault = "MPOPT_FAULT=" + std::string(how) + ":1:3:1 ";
      Outcome outcome = call(
          plan + " --input x=" + folder + "/x.npy --repeat 5 --output-dir " + folder + "/died --ranks " + ranks, fault);
      EXPECT_EQ(outcome.code, 1);
      EXPECT_THAT(outcome.text, testing::StartsWith("mpopt-run: error: rank 1 died"));
      EXPECT_THAT(outcome.text, HasSubstr("at step 3 in all_reduce#1 (node /layer/node)"));
      EXPECT_EQ(std::ranges::count(outcome.text, '\n'), 1) << outcome.text;
      EXPECT_TRUE(std::filesystem::is_empty(folder + "/died"));
    }
}

/// A launcher that ends early takes its ranks with it.
TEST_F(ToolTest, launcherThatIsKilled) {
  for (int signal : {SIGKILL, SIGINT, SIGTERM}) {
    std::string mark = "MPOPT_TEST_MARK=" + folder;
    pid_t launcher = fork();
    if (launcher == 0) {
      std::signal(signal, SIG_DFL); // jobs in the background ignore some
      freopen("/dev/null", "w", stdout);
      setenv("MPOPT_FAULT", "stall:0:1:0", 1);
      setenv("MPOPT_TEST_MARK", folder.c_str(), 1);
      execl(MPOPT_RUN_TOOL, MPOPT_RUN_TOOL, plan.c_str(), "--ranks", "processes", "--repeat", "2", nullptr);
      _exit(127);
    }
    auto waitFor = [&](size_t count) {
      size_t found = count + 1;
      for (int i = 0; i < 2000 && (found = processesWith(mark)) != count; ++i)
        usleep(5000);
      return found;
    };
    EXPECT_EQ(waitFor(2), 2u); // the launcher and the rank that hangs; the other has ended
    kill(launcher, signal);
    int status = 0;
    EXPECT_EQ(waitpid(launcher, &status, 0), launcher);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    EXPECT_EQ(waitFor(0), 0u);
  }
}

TEST_F(ToolTest, memoryLimit) {
  if (kSanitized)
    GTEST_SKIP() << "a sanitizer needs the address space; run this test in an ordinary build";
  PlanMaker maker(2);
  uint32_t x = maker.work({1, 1 << 28});
  maker.kernel("add_one", {x}, {x});
  std::string large = maker.write("large");
  for (const char *ranks : {"threads", "processes"}) {
    Outcome outcome = call(large + " --ranks " + ranks, "ulimit -v 900000; ");
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.text, testing::StartsWith("mpopt-run: error: cannot get 2048 MiB of memory"));
  }
}

TEST_F(ToolTest, outputsThatDoNotFitOnTheDisk) {
  PlanMaker maker(2);
  uint32_t x = maker.work({1, 1 << 18});
  maker.kernel("add_one", {x}, {x});
  maker.output("x", {static_cast<int32_t>(x)});
  // The limit lets the kernels be loaded, but not the output of 2 MiB be written.
  Outcome outcome = call(maker.write("large") + " --output-dir " + folder + "/small", "ulimit -f 512; ");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.text,
              HasSubstr("mpopt-run: error: cannot write '" + folder + "/small/x.npy': it would be larger"));
  EXPECT_TRUE(std::filesystem::is_empty(folder + "/small"));
  for (const char *flag : {" --trace ", " --json "}) {
    EXPECT_THAT(call(plan + flag + "/dev/full").text, HasSubstr("cannot write '/dev/full': No space left on device"));
    // Said before the run, not after.
    refused(plan + flag + folder + "/no/file", "its folder does not exist");
    refused(plan + flag + plan, "would overwrite");
  }
}

} // namespace
} // namespace mpopt::runtime
