#ifndef MPOPT_RUNTIME_COMM_LOCAL_LOCALFABRIC_H
#define MPOPT_RUNTIME_COMM_LOCAL_LOCALFABRIC_H

#include "comm/local/Barrier.h"
#include "core/Loader.h"
#include "core/Memory.h"

#include <map>
#include <tuple>

namespace mpopt::runtime {

/// What the ranks of one host share: their arenas and the words they meet at. Made before the ranks start, in memory that forked
/// processes share, so that all have it at the same addresses.
class LocalFabric {
public:
  static constexpr uint64_t kStagingBytes = 32768; // of a staging slot

  /// A member announces the collective it is in, then counts the meetings it came to; the others wait for the count and compare.
  struct alignas(64) Cell {
    std::atomic<uint64_t> announced[2];
    std::atomic<uint32_t> meetings, sleepers;
  };
  /// One message from a rank to another.
  struct alignas(64) Channel {
    std::atomic<uint32_t> posted, postedSleepers, taken, takenSleepers;
    std::atomic<const std::byte *> payload;
  };

  static Result<LocalFabric> create(const LoadedPlan &plan);

  std::span<std::byte> arena(size_t rank) const;
  /// Where `rank` sees its program's buffer `index`: in the arena or in the weights file.
  std::byte *address(size_t rank, uint32_t index) const;
  /// Meeting place of one group: a cell per member.
  Cell *group(size_t set, size_t number) const;
  std::byte *staging(size_t rank, size_t set, unsigned parity) const;
  Channel &channel(uint32_t from, uint32_t to, uint32_t tag) const;
  Barrier &world() const;
  std::atomic<uint32_t> &abort() const;

  const LoadedPlan &plan() const { return *loaded; }
  unsigned spins() const { return spinCount; }
  /// Payloads up to this size are copied to a staging slot, which saves a second meeting. Where all ranks have a core, a meeting takes as long as
  /// the copy of two thousand bytes to lines that the peers have read before; else cores change hands.
  uint64_t mostStaged() const { return spinCount > 0 ? 2048 : kStagingBytes; }

private:
  LocalFabric() = default;
  void layOut();

  const LoadedPlan *loaded = nullptr;
  Mapping memory;
  uint64_t arenaStride = 0, stagingStart = 0, arenaStart = 0;
  std::vector<std::vector<uint64_t>> groups; // offsets, [set][number]
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, uint64_t> channels;
  uint64_t totalBytes = 0;
  unsigned spinCount = 0;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_LOCALFABRIC_H
