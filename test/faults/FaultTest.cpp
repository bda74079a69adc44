// Ranks that die or stall before any kind of instruction: everybody stops, and the message says who, when and where.
#include "PlanMaker.h"
#include "launch/Session.h"

#include <chrono>
#include <cstdlib>
#include <gmock/gmock.h>
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
      maker.recv(0, 0, y);
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
  return maker;
}

std::string errorOf(const std::string &path, const std::string &fault, bool processes, double timeout) {
  setenv("MPOPT_FAULT", fault.c_str(), 1);
  auto outputs = runPlan(path, {}, processes, 4, timeout);
  unsetenv("MPOPT_FAULT");
  return outputs ? "no error" : outputs.error().message;
}

void checkAll(PlanMaker maker) {
  std::string path = maker.write();
  auto file = PlanFile::open(path);
  ASSERT_TRUE(file);
  for (unsigned rank : {0u, 1u}) {
    const plan::Program &program = *items(file->plan().programs())[items(file->plan().ranks())[rank]->program()];
    for (size_t i = 0; i < items(program.instructions()).size(); ++i)
      for (bool processes : {false, true})
        for (const char *kind : {"kill", "stall"}) {
          std::string fault = std::string(kind) + ":" + std::to_string(rank) + ":2:" + std::to_string(i);
          SCOPED_TRACE(fault + (processes ? " processes" : " threads"));
          auto start = std::chrono::steady_clock::now();
          constexpr double kTimeout = 0.2;
          std::string message = errorOf(path, fault, processes, kTimeout);
          std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
          std::string how = kind == std::string("stall") ? "stalled" : processes ? "died (signal 9)" : "died";
          EXPECT_THAT(message, testing::StartsWith("rank " + std::to_string(rank) + " " + how + " at step 2 in " +
                                                   describe(file->plan(), program, i)));
          EXPECT_THAT(message, testing::HasSubstr("(node /layer/node)"));
          EXPECT_LT(took.count(), 4.0);
          EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a process is left";
        }
  }
}

TEST(FaultTest, everyKindOfInstruction) { checkAll(everyKind()); }
TEST(FaultTest, everyCollective) { checkAll(everyCollective()); }

TEST(FaultTest, peersStopWithinMilliseconds) {
  std::string path = everyCollective().write();
  auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(errorOf(path, "kill:1:1:3", true, 60),
              testing::HasSubstr("rank 1 died (signal 9) at step 1 in permute#3"));
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 0.7);
}

TEST(FaultTest, faultThatNeverStrikes) {
  std::string path = everyCollective().write();
  EXPECT_EQ(errorOf(path, "kill:1:9:0", true, 5), "no error");
  EXPECT_THAT(errorOf(path, "explode:1:9:0", true, 5), testing::HasSubstr("MPOPT_FAULT"));
}

TEST(FaultTest, collectivesOutOfOrderAreAnError) {
  // Two programs whose ranks would meet in different collectives cannot pass the verifier, so the numbers themselves are changed.
  PlanMaker maker(2);
  uint32_t both = maker.groups({{0, 1}}), x = maker.work({1, 64});
  maker.collective(plan::CollectiveKind::all_reduce, both, x, x).sequence = 1;
  EXPECT_THAT(errorOf(maker.write(), "kill:9:9:9", false, 5), testing::HasSubstr("sequence number is out of order"));
}

} // namespace
} // namespace mpopt::runtime
