#ifndef MPOPT_COST_MEMORY_H
#define MPOPT_COST_MEMORY_H

#include <cstdint>
#include <span>

namespace mpopt::cost {

/// A buffer that lives at the times [first, last); it takes no memory when last
/// <= first.
struct LiveBuffer {
  int64_t first = 0;
  int64_t last = 0;
  int64_t bytes = 0;
};

/// The most bytes live at one time.
int64_t peakBytes(std::span<const LiveBuffer> buffers);

} // namespace mpopt::cost

#endif // MPOPT_COST_MEMORY_H
