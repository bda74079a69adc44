#include "comm/local/Barrier.h"

#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

constexpr long kLookNanoseconds = 5'000'000, kYieldNanoseconds = 1'000'000;

long nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

long futex(std::atomic<uint32_t> &word, int operation, uint32_t value, const timespec *timeout) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), operation, value, timeout, nullptr, 0);
}

} // namespace

bool waitWhile(std::atomic<uint32_t> &word, uint32_t value, std::atomic<uint32_t> &sleepers,
               const WaitContext &context) {
  auto changed = [&] { return word.load(std::memory_order_acquire) != value; };
  for (unsigned i = 0; i < context.spins; ++i) {
    if (changed())
      return true;
    __builtin_ia32_pause();
  }
  // Whoever is waited for may need this core: the scheduler sometimes puts two ranks on one although another is free.
  constexpr unsigned kYieldsPerLook = 16;
  for (long start = nanoseconds(); nanoseconds() - start < kYieldNanoseconds;)
    for (unsigned i = 0; i < kYieldsPerLook; ++i) {
      if (changed())
        return true;
      if (context.abort->load(std::memory_order_relaxed) != 0)
        return false;
      sched_yield();
    }
  while (!changed()) {
    if (context.abort->load(std::memory_order_relaxed) != 0)
      return false;
    timespec timeout{0, kLookNanoseconds};
    sleepers.fetch_add(1);
    futex(word, FUTEX_WAIT, value, &timeout);
    sleepers.fetch_sub(1);
  }
  return true;
}

void wake(std::atomic<uint32_t> &word, const std::atomic<uint32_t> &sleepers) {
  if (sleepers.load() > 0)
    futex(word, FUTEX_WAKE, INT_MAX, nullptr);
}

bool Barrier::arriveAndWait(uint32_t members, const WaitContext &context) {
  uint32_t mine = generation.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 < members)
    return waitWhile(generation, mine, sleepers, context);
  arrived.store(0, std::memory_order_relaxed);
  generation.fetch_add(1);
  wake(generation, sleepers);
  return true;
}

} // namespace mpopt::runtime
