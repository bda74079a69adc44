#ifndef MPOPT_RUNTIME_CORE_STRIDED_H
#define MPOPT_RUNTIME_CORE_STRIDED_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace mpopt::runtime {

/// Visits a box of one dense row-major tensor next to a box of equal size of another, as the longest runs that are contiguous in both.
/// Sizes and offsets in bytes. Fixed size, so that running allocates nothing.
class StridedRuns {
public:
  static constexpr size_t kMaxRank = 16;

  /// The box of `size` elements that starts at `fromStart` in a tensor of shape `from`, and at `toStart` in one of shape `to`.
  StridedRuns(std::span<const int64_t> size, std::span<const int64_t> from, std::span<const int64_t> fromStart,
              std::span<const int64_t> to, std::span<const int64_t> toStart, size_t elementBytes);

  /// Calls visit(fromOffset, toOffset, bytes) for each run.
  template <typename Visit> void forEach(Visit visit) const {
    if (runBytes == 0)
      return;
    std::array<int64_t, kMaxRank> place{};
    uint64_t from = fromOffset, to = toOffset;
    while (true) {
      visit(from, to, runBytes);
      size_t dim = rank;
      while (dim > 0) {
        --dim;
        from += fromStride[dim];
        to += toStride[dim];
        if (++place[dim] < count[dim])
          break;
        from -= fromStride[dim] * count[dim];
        to -= toStride[dim] * count[dim];
        place[dim] = 0;
        if (dim == 0)
          return;
      }
      if (rank == 0)
        return;
    }
  }

  void copy(const std::byte *from, std::byte *to) const {
    forEach([&](uint64_t f, uint64_t t, uint64_t bytes) { std::memcpy(to + t, from + f, bytes); });
  }

private:
  size_t rank = 0; // of the loops around a run
  std::array<int64_t, kMaxRank> count{};
  std::array<uint64_t, kMaxRank> fromStride{}, toStride{};
  uint64_t fromOffset = 0, toOffset = 0, runBytes = 0;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_STRIDED_H
