#include "mpopt/Cost/Memory.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace mpopt::cost {

int64_t peakBytes(std::span<const LiveBuffer> buffers) {
  std::vector<std::pair<int64_t, int64_t>> changes;
  for (const LiveBuffer &buffer : buffers) {
    if (buffer.last <= buffer.first)
      continue;
    changes.emplace_back(buffer.first, buffer.bytes);
    changes.emplace_back(buffer.last, -buffer.bytes);
  }
  // At equal times what ends (negative) goes before what starts: intervals are
  // half-open.
  std::sort(changes.begin(), changes.end());
  int64_t live = 0, peak = 0;
  for (auto [time, bytes] : changes)
    peak = std::max(peak, live += bytes);
  return peak;
}

} // namespace mpopt::cost
