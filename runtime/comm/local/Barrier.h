#ifndef MPOPT_RUNTIME_COMM_LOCAL_BARRIER_H
#define MPOPT_RUNTIME_COMM_LOCAL_BARRIER_H

#include <atomic>
#include <cstdint>

namespace mpopt::runtime {

/// Given to every wait: who gives up the run, and how long to spin before the core is offered to others.
struct WaitContext {
  const std::atomic<uint32_t> *abort = nullptr;
  unsigned spins = 0;
};

/// Waits until `word` is no longer `value`: spins, then yields for a millisecond, then sleeps. False when the run was given up. A
/// sleeper is woken by wake(), and looks at the abort word every few milliseconds in any case.
bool waitWhile(std::atomic<uint32_t> &word, uint32_t value, std::atomic<uint32_t> &sleepers,
               const WaitContext &context);
void wake(std::atomic<uint32_t> &word, const std::atomic<uint32_t> &sleepers);

/// Where threads meet, again and again. It may lie in memory that processes share; zero-filled memory is a new one.
struct alignas(64) Barrier {
  std::atomic<uint32_t> generation, arrived, sleepers;

  /// Returns when `members` have arrived; false when the run was given up.
  bool arriveAndWait(uint32_t members, const WaitContext &context);
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_BARRIER_H
