#ifndef MPOPT_RUNTIME_CORE_PROGRESS_H
#define MPOPT_RUNTIME_CORE_PROGRESS_H

#include "core/Clock.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace mpopt::runtime {

struct TimeSpan {
  int64_t begin = 0, end = 0;
};

/// When a rank waited for others during one instruction: in all, and the first few times one by one.
struct WaitLog {
  static constexpr uint32_t kKept = 3;
  int64_t total = 0; // nanoseconds
  uint32_t count = 0;
  std::array<TimeSpan, kKept> kept;

  void add(TimeSpan wait) {
    total += wait.end - wait.begin;
    if (count < kKept)
      kept[count] = wait;
    ++count;
  }
};

/// Where a rank is, for whoever watches it; may lie in memory shared between processes.
struct alignas(64) Progress {
  static constexpr uint32_t kLoading = UINT32_MAX, kBetweenSteps = UINT32_MAX - 1;
  static constexpr uint64_t kInit = UINT64_MAX; // the step of init instructions
  std::atomic<uint64_t> beat{0};                // grows whenever the rank gets on
  std::atomic<uint64_t> step{0};
  std::atomic<uint32_t> instruction{kLoading};
  std::atomic<uint32_t> waiting{0}; // whether it waits for other ranks
  bool logsWaits = false;           // the rank's own, like what follows
  WaitLog waits;
  int64_t waitsSince = 0;
  uint64_t routedBytes = 0; // of tokens that came from other ranks since a trace last asked

  void at(uint64_t newStep, uint32_t newInstruction) {
    step.store(newStep, std::memory_order_relaxed);
    instruction.store(newInstruction, std::memory_order_relaxed);
    tick();
  }
  void beginWait() {
    waiting.store(1, std::memory_order_relaxed);
    if (logsWaits)
      waitsSince = now();
  }
  void endWait() {
    if (logsWaits)
      waits.add({waitsSince, now()});
    waiting.store(0, std::memory_order_relaxed);
  }
  /// Only the rank itself writes, so that a plain load and store are enough.
  void tick() { beat.store(beat.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_PROGRESS_H
