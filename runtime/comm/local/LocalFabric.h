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

  /// Operands that a member of a group lets another one read in permutes and halos: how many were offered, how many taken, and what each of the
  /// last two belongs to. Two slots for staged ones follow.
  struct alignas(64) Handover {
    std::atomic<uint32_t> offered, offeredSleepers;
    uint64_t announced[2];
    alignas(64) std::atomic<uint32_t> taken, takenSleepers;
  };

  static Result<LocalFabric> create(const LoadedPlan &plan);

  std::span<std::byte> arena(size_t rank) const;
  /// Where `rank` sees its program's buffer `index`: in the arena or in the weights file.
  std::byte *address(size_t rank, uint32_t index) const;
  /// Meeting place of one group: a cell per member.
  Cell *group(size_t set, size_t number) const;
  Handover &handover(size_t set, uint32_t from, uint32_t to) const;
  std::byte *slot(Handover &handover, unsigned number) const;
  std::byte *staging(size_t rank, size_t set, unsigned parity) const;
  Channel &channel(uint32_t from, uint32_t to, uint32_t tag) const;
  Barrier &world() const;
  std::atomic<uint32_t> &abort() const;

  const LoadedPlan &plan() const { return *loaded; }
  /// Spinning only pays while everybody has a core.
  unsigned spins() const { return hasCores ? 200 : 0; }
  /// Payloads up to this size are copied to a staging slot, which saves a second meeting. Where all ranks have a core, a meeting takes as long as
  /// the copy of two thousand bytes to lines that the peers have read before; else cores change hands.
  uint64_t mostStaged() const { return hasCores ? 2048 : kSlotBytes; }
  /// The same for permutes and halos, where the second wait is for few.
  uint64_t slotBytes() const { return hasCores ? 0 : kSlotBytes; }

private:
  static constexpr uint64_t kSlotBytes = 32768;

  LocalFabric() = default;
  void layOut();
  uint64_t layOutGroups(uint64_t end);
  uint64_t layOutChannels(uint64_t end);
  uint64_t layOutHandovers(uint64_t end, uint32_t rank, const plan::Collective &call, const plan::Buffer &source,
                           const plan::Buffer &result);

  const LoadedPlan *loaded = nullptr;
  Mapping memory;
  uint64_t arenaStride = 0, stagingStart = 0, arenaStart = 0;
  std::vector<std::vector<uint64_t>> groups;                             // offsets, [set][number]
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, uint64_t> channels; // by sender, receiver, tag
  std::map<std::tuple<size_t, uint32_t, uint32_t>, uint64_t> handovers;  // by group set, giver, reader
  uint64_t totalBytes = 0;
  bool hasCores = false;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_LOCALFABRIC_H
