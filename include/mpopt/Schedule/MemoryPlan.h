#ifndef MPOPT_SCHEDULE_MEMORYPLAN_H
#define MPOPT_SCHEDULE_MEMORYPLAN_H

#include <cstdint>
#include <vector>

namespace mpopt::schedule {

/// A buffer that must exist from instruction `first` to instruction `last`, both included.
struct LiveBuffer {
  int64_t bytes = 0;
  int64_t first = 0, last = 0;
  /// Byte in the arena, a multiple of kAlignment; set by planMemory.
  int64_t offset = 0;
};

inline constexpr int64_t kAlignment = 64;

/// Places buffers so that no two whose lives overlap share a byte; returns the size of the arena in bytes. Greedy in several orders (by size:
/// Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020; by size times life, by life, by time), each buffer
/// at the lowest or at the tightest gap; buffers that end highest then go first, and the best of all placements is kept. Ends at once
/// where a placement meets livenessBound().
int64_t planMemory(std::vector<LiveBuffer> &buffers);

/// The least any plan can need: the largest sum of sizes that are alive at once.
int64_t livenessBound(const std::vector<LiveBuffer> &buffers);

} // namespace mpopt::schedule

#endif // MPOPT_SCHEDULE_MEMORYPLAN_H
