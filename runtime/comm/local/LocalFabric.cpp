#include "comm/local/LocalFabric.h"

#include <algorithm>
#include <thread>

namespace mpopt::runtime {
namespace {

constexpr uint64_t kPage = 4096;
uint64_t roundUp(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

struct Head {
  Barrier world;
  alignas(64) std::atomic<uint32_t> abort;
};

} // namespace

/// Lays out: head, groups, channels, staging slots, arenas.
void LocalFabric::layOut() {
  const plan::Plan &plan = loaded->plan();
  uint64_t end = sizeof(Head);
  for (const plan::GroupSet *set : items(plan.group_sets())) {
    groups.emplace_back();
    for (const plan::Group *group : items(set->groups())) {
      groups.back().push_back(end);
      end += numbers(group->ranks()).size() * sizeof(Cell);
    }
  }
  for (uint32_t rank = 0; rank < loaded->numRanks(); ++rank)
    for (const plan::Instruction *instruction : items(loaded->programOf(rank).instructions()))
      if (const plan::Send *send = instruction->op_as_Send()) {
        channels[{rank, *peerOf(plan, rank, send->distance()), send->tag()}] = end;
        end += sizeof(Channel);
      }
  stagingStart = roundUp(end, kPage);
  arenaStart = stagingStart + loaded->numRanks() * groups.size() * 2 * kStagingBytes;
  for (size_t rank = 0; rank < loaded->numRanks(); ++rank)
    arenaStride = std::max(arenaStride, roundUp(loaded->programOf(rank).work_bytes(), kPage));
  totalBytes = arenaStart + loaded->numRanks() * arenaStride;
}

Result<LocalFabric> LocalFabric::create(const LoadedPlan &plan) {
  LocalFabric fabric;
  fabric.loaded = &plan;
  fabric.layOut();
  auto memory = Mapping::shared(fabric.totalBytes);
  if (!memory)
    return tl::unexpected(memory.error());
  fabric.memory = std::move(*memory);
  // Spinning only pays while everybody has a core.
  constexpr unsigned kLong = 200;
  fabric.spinCount = plan.numRanks() <= std::max(1u, std::thread::hardware_concurrency()) ? kLong : 0;
  return fabric;
}

std::span<std::byte> LocalFabric::arena(size_t rank) const {
  return {memory.data() + arenaStart + rank * arenaStride, loaded->programOf(rank).work_bytes()};
}

std::byte *LocalFabric::address(size_t rank, uint32_t index) const {
  const plan::Buffer &buffer = *items(loaded->programOf(rank).buffers())[index];
  if (buffer.space() == plan::Space::work)
    return arena(rank).data() + buffer.offset();
  return const_cast<std::byte *>(loaded->weightSlice(rank, buffer.offset()).data());
}

LocalFabric::Cell *LocalFabric::group(size_t set, size_t number) const {
  return reinterpret_cast<Cell *>(memory.data() + groups[set][number]);
}

std::byte *LocalFabric::staging(size_t rank, size_t set, unsigned parity) const {
  return memory.data() + stagingStart + ((rank * groups.size() + set) * 2 + parity) * kStagingBytes;
}

LocalFabric::Channel &LocalFabric::channel(uint32_t from, uint32_t to, uint32_t tag) const {
  return *reinterpret_cast<Channel *>(memory.data() + channels.at({from, to, tag}));
}

Barrier &LocalFabric::world() const { return reinterpret_cast<Head *>(memory.data())->world; }
std::atomic<uint32_t> &LocalFabric::abort() const { return reinterpret_cast<Head *>(memory.data())->abort; }

} // namespace mpopt::runtime
