#include "core/Strided.h"

namespace mpopt::runtime {

StridedRuns::StridedRuns(std::span<const int64_t> size, std::span<const int64_t> from,
                         std::span<const int64_t> fromStart, std::span<const int64_t> to,
                         std::span<const int64_t> toStart, size_t elementBytes) {
  uint64_t fromStep = elementBytes, toStep = elementBytes, run = elementBytes;
  bool contiguous = true; // whether everything up to here is one run
  for (size_t i = size.size(); i-- > 0;) {
    if (size[i] <= 0)
      return;
    fromOffset += fromStart[i] * fromStep;
    toOffset += toStart[i] * toStep;
    if (contiguous && fromStep == run && toStep == run) {
      run *= size[i];
    } else if (size[i] > 1) {
      // Loops are kept outermost first, so shift; merge with the next inner loop when both step evenly.
      contiguous = false;
      if (rank > 0 && fromStride[0] * count[0] == fromStep && toStride[0] * count[0] == toStep) {
        count[0] *= size[i];
      } else {
        for (size_t k = rank++; k > 0; --k) {
          count[k] = count[k - 1];
          fromStride[k] = fromStride[k - 1];
          toStride[k] = toStride[k - 1];
        }
        count[0] = size[i];
        fromStride[0] = fromStep;
        toStride[0] = toStep;
      }
    }
    fromStep *= from[i];
    toStep *= to[i];
  }
  runBytes = run;
}

} // namespace mpopt::runtime
