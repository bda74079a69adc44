#ifndef MPOPT_RUNTIME_CORE_PROGRESS_H
#define MPOPT_RUNTIME_CORE_PROGRESS_H

#include <atomic>
#include <cstdint>

namespace mpopt::runtime {

/// Where a rank is, for whoever watches it; may lie in memory shared between processes.
struct alignas(64) Progress {
  static constexpr uint32_t kLoading = UINT32_MAX, kBetweenSteps = UINT32_MAX - 1;
  std::atomic<uint64_t> beat{0}; // grows whenever the rank gets on
  std::atomic<uint64_t> step{0};
  std::atomic<uint32_t> instruction{kLoading};
  std::atomic<uint32_t> waiting{0}; // whether it waits for other ranks

  void at(uint64_t newStep, uint32_t newInstruction) {
    step.store(newStep, std::memory_order_relaxed);
    instruction.store(newInstruction, std::memory_order_relaxed);
    tick();
  }
  /// Only the rank itself writes, so that a plain load and store are enough.
  void tick() { beat.store(beat.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_PROGRESS_H
