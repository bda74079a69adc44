// Ranks that die or stall before any kind of instruction: everybody stops, and the message says who, when and where.
#include "PlanMaker.h"
#include "launch/Session.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <set>
#include <sys/wait.h>

namespace mpopt::runtime {
namespace {

/// Two ranks that run one instruction of each kind.
PlanMaker everyKind() {
  PlanMaker maker(2);
  maker.groups({{0, 1}});
  for (uint32_t rank : {0u, 1u}) {
    if (rank == 1)
      maker.beginProgram();
    maker.plan.ranks[rank]->program = rank;
    uint32_t x = maker.work({1, 1, 8, 8}), y = maker.work({1, 1, 8, 8});
    maker.kernel("add_one", {x}, {y});
    maker.copy(y, x);
    if (rank == 0)
      maker.send(1, 0, y);
    else
      maker.recv(-1, 0, y);
  }
  return maker;
}

/// One program with every collective.
PlanMaker everyCollective() {
  PlanMaker maker(2);
  uint32_t both = maker.groups({{0, 1}}), x = maker.work({2, 64}), wide = maker.work({4, 64}),
           narrow = maker.work({1, 64});
  using plan::CollectiveKind;
  maker.collective(CollectiveKind::all_reduce, both, x, x);
  maker.collective(CollectiveKind::all_gather, both, x, wide);
  maker.collective(CollectiveKind::reduce_scatter, both, x, narrow);
  maker.collective(CollectiveKind::permute, both, x, maker.work({2, 64})).permutation = {1, 0};
  maker.collective(CollectiveKind::all_to_all, both, x, maker.work({2, 64}));
  plan::CollectiveT &halo = maker.collective(CollectiveKind::halo, both, x, wide);
  halo.low = halo.high = 1;
  uint32_t names = maker.work({4, 1}, plan::DType::i64);
  maker.route(CollectiveKind::dispatch, both, x, names, wide, 1);
  maker.route(CollectiveKind::combine, both, wide, names, maker.work({2, 64}), 1);
  return maker;
}

/// A weight that an init instruction makes, and a kernel that reads it.
PlanMaker everyPhase() {
  PlanMaker maker(2);
  uint32_t both = maker.groups({{0, 1}});
  uint32_t w = maker.weights({64}, std::vector<float>(64, 1.0f)), made = maker.weights({64}, std::vector<float>(64));
  maker.kernel("add_one", {w}, {made});
  maker.program().init = std::move(maker.program().instructions);
  maker.program().instructions.clear();
  uint32_t x = maker.work({64});
  maker.kernel("add_one", {made}, {x});
  maker.collective(plan::CollectiveKind::all_reduce, both, x, x);
  return maker;
}

class FaultTest : public testing::Test {
protected:
  void TearDown() override {
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a process is left";
    EXPECT_EQ(sharedMemory(), sharedBefore) << "shared memory is left";
  }
  static std::set<std::string> sharedMemory() {
    std::set<std::string> names;
    std::error_code none;
    for (const auto &entry : std::filesystem::directory_iterator("/dev/shm", none))
      names.insert(entry.path());
    return names;
  }
  /// What running the plan ends with under a fault.
  static std::string errorOf(const std::string &path, const std::string &fault, bool processes, double timeout) {
    setenv("MPOPT_FAULT", fault.c_str(), 1);
    auto outputs = runPlan(path, {}, processes, 4, timeout);
    unsetenv("MPOPT_FAULT");
    return outputs ? "no error" : outputs.error().message;
  }
  /// Both kinds of rank, both faults that both can have, at one place; `where` as MPOPT_FAULT has it, `place` as the message does.
  static void check(const std::string &path, unsigned rank, const std::string &where, const std::string &place) {
    for (bool processes : {false, true})
      for (const char *kind : {"kill", "stall", "stop"}) {
        if (!processes && kind == std::string("stop"))
          continue;
        std::string fault = std::string(kind) + ":" + std::to_string(rank) + ":" + where;
        SCOPED_TRACE(fault + (processes ? " processes" : " threads"));
        constexpr double kTimeout = 0.1;
        std::string message = errorOf(path, fault, processes, kTimeout);
        std::string how = kind != std::string("kill") ? "stalled" : processes ? "died (SIGKILL" : "died";
        EXPECT_THAT(message, testing::StartsWith("rank " + std::to_string(rank) + " " + how));
        EXPECT_THAT(message, testing::HasSubstr(place));
      }
  }
  static void checkAll(PlanMaker maker) {
    std::string path = maker.write();
    auto file = PlanFile::open(path);
    ASSERT_TRUE(file);
    for (unsigned rank : {0u, 1u}) {
      const plan::Program &program = *items(file->plan().programs())[items(file->plan().ranks())[rank]->program()];
      for (size_t i = 0; i < items(program.instructions()).size(); ++i) {
        std::string place = " at step 2 in " + describe(file->plan(), program, i);
        EXPECT_THAT(place, testing::EndsWith("(node /layer/node)"));
        check(path, rank, "2:" + std::to_string(i), place);
      }
    }
  }

  std::set<std::string> sharedBefore = sharedMemory();
};

TEST_F(FaultTest, everyKindOfInstruction) { checkAll(everyKind()); }
TEST_F(FaultTest, everyCollective) { checkAll(everyCollective()); }

TEST_F(FaultTest, loading) {
  std::string path = everyPhase().write();
  for (unsigned rank : {0u, 1u}) {
    check(path, rank, "load", " while it was loading");
    check(path, rank, "init:0", " while it was loading, in init add_one#0 (node /layer/node)");
    check(path, rank, "0:0", " at step 0 in add_one#0");
  }
}

TEST_F(FaultTest, crashesOfProcesses) {
  std::string path = everyPhase().write();
  EXPECT_THAT(errorOf(path, "segv:1:2:0", true, 20),
              testing::StartsWith("rank 1 died (SIGSEGV) at step 2 in add_one#0"));
  EXPECT_THAT(
      errorOf(path, "bus:0:1:1", true, 20),
      testing::StartsWith("rank 0 died (SIGBUS, as when a mapped file is cut short) at step 1 in all_reduce#1"));
  EXPECT_THAT(errorOf(path, "exit:1:3:1", true, 20),
              testing::StartsWith("rank 1 died (exit code 0) at step 3 in all_reduce#1"));
}

TEST_F(FaultTest, outOfMemoryInARank) {
  std::string path = everyPhase().write();
  for (bool processes : {false, true})
    EXPECT_EQ(errorOf(path, "memory:1:2:0", processes, 20),
              "rank 1 failed at step 2 in add_one#0 (node /layer/node): out of memory");
}

TEST_F(FaultTest, faultThatNeverStrikes) {
  std::string path = everyCollective().write();
  EXPECT_EQ(errorOf(path, "kill:1:9:0", true, 5), "no error");
  for (const char *bad : {"explode:1:9:0", "kill", "kill:1", "kill:1:", "kill:1:x", "kill:1:2:3x", "kill::2:3"})
    EXPECT_THAT(errorOf(path, bad, true, 5), testing::HasSubstr("MPOPT_FAULT"));
}

TEST_F(FaultTest, collectivesOutOfOrderAreAnError) {
  // Two programs whose ranks would meet in different collectives cannot pass the verifier, so the numbers themselves are changed.
  PlanMaker maker(2);
  uint32_t both = maker.groups({{0, 1}}), x = maker.work({1, 64});
  maker.collective(plan::CollectiveKind::all_reduce, both, x, x).sequence = 1;
  EXPECT_THAT(errorOf(maker.write(), "kill:9:9:9", false, 5), testing::HasSubstr("sequence number is out of order"));
}

} // namespace
} // namespace mpopt::runtime
