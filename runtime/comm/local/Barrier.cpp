#include "comm/local/Barrier.h"

#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

constexpr long kLookNanoseconds = 5'000'000;

long futex(std::atomic<uint32_t> &word, int operation, uint32_t value, const timespec *timeout) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), operation, value, timeout, nullptr, 0);
}

} // namespace

bool waitWhile(std::atomic<uint32_t> &word, uint32_t value, std::atomic<uint32_t> &sleepers,
               const WaitContext &context) {
  for (unsigned i = 0; i < context.spins; ++i) {
    if (word.load(std::memory_order_acquire) != value)
      return true;
    __builtin_ia32_pause();
  }
  while (word.load(std::memory_order_acquire) == value) {
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
