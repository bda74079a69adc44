#include "launch/Cores.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <set>
#include <thread>

namespace mpopt::runtime {
namespace {

size_t usable() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

TEST(Cores, ranksThatTakeMostOfTheHostStayOnCoresOfTheirOwn) {
  size_t cores = usable();
  for (size_t ranks = 0; ranks <= cores + 1; ++ranks) {
    std::vector<int> chosen = coresFor(ranks);
    bool binds = ranks > 1 && ranks <= cores && 2 * ranks > cores;
    EXPECT_EQ(chosen.size(), binds ? ranks : 0);
    EXPECT_EQ(std::set<int>(chosen.begin(), chosen.end()).size(), chosen.size());
  }
}

TEST(Cores, onlyTheCallingThreadIsBound) {
  size_t before = usable(), inside = 0;
  std::thread([&] {
    stayOn(sched_getcpu());
    inside = usable();
  }).join();
  EXPECT_EQ(inside, 1u);
  EXPECT_EQ(usable(), before);
}

} // namespace
} // namespace mpopt::runtime
