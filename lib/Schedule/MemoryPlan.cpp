#include "mpopt/Schedule/MemoryPlan.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace mpopt::schedule {

static int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

static bool overlap(const LiveBuffer &a, const LiveBuffer &b) { return a.first <= b.last && b.first <= a.last; }

int64_t planMemory(std::vector<LiveBuffer> &buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });

  std::vector<size_t> placed; // sorted by offset
  int64_t size = 0;
  for (size_t index : order) {
    LiveBuffer &buffer = buffers[index];
    int64_t need = aligned(buffer.bytes), offset = 0;
    for (size_t other : placed) {
      if (!overlap(buffer, buffers[other]))
        continue;
      if (buffers[other].offset >= offset + need)
        break;
      offset = std::max(offset, buffers[other].offset + aligned(buffers[other].bytes));
    }
    buffer.offset = offset;
    size = std::max(size, offset + need);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), index,
                                   [&](size_t a, size_t b) { return buffers[a].offset < buffers[b].offset; }),
                  index);
  }
  return size;
}

int64_t livenessBound(const std::vector<LiveBuffer> &buffers) {
  std::map<int64_t, int64_t> change;
  for (const LiveBuffer &buffer : buffers) {
    change[buffer.first] += aligned(buffer.bytes);
    change[buffer.last + 1] -= aligned(buffer.bytes);
  }
  int64_t live = 0, most = 0;
  for (auto [time, delta] : change)
    most = std::max(most, live += delta);
  return most;
}

} // namespace mpopt::schedule
