#include "comm/local/LocalFabric.h"
#include "comm/local/Neighbours.h"
#include "format/Messages.h"

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

uint64_t LocalFabric::layOutGroups(uint64_t end) {
  for (const plan::GroupSet *set : items(loaded->plan().group_sets())) {
    groups.emplace_back();
    for (const plan::Group *group : items(set->groups())) {
      groups.back().push_back(end);
      end += numbers(group->ranks()).size() * sizeof(Cell);
    }
  }
  return end;
}

/// Where the members that `rank` reads from in a collective hand over their operands.
uint64_t LocalFabric::layOutHandovers(uint64_t end, uint32_t rank, const plan::Collective &call,
                                      const plan::Buffer &source, const plan::Buffer &result) {
  GroupPlace group = groupOf(loaded->plan(), call.group_set(), rank);
  for (size_t from : sourcesOf(call, source, result, group.members.size(), group.place))
    if (handovers.emplace(std::tuple(call.group_set(), group.members[from], rank), end).second)
      end += sizeof(Handover) + 2 * slotBytes();
  return end;
}

/// Between each two ranks that talk to each other.
uint64_t LocalFabric::layOutChannels(uint64_t end) {
  const plan::Plan &plan = loaded->plan();
  for (uint32_t rank = 0; rank < loaded->numRanks(); ++rank) {
    auto buffers = items(loaded->programOf(rank).buffers());
    for (const plan::Instruction *instruction : items(loaded->programOf(rank).instructions()))
      if (const plan::Send *send = instruction->op_as_Send()) {
        for (const Partner &partner : partnersOf(plan, rank, *instruction)) {
          channels[{rank, partner.rank, send->tag()}] = end;
          end += sizeof(Channel);
        }
      } else if (const plan::Collective *call = instruction->op_as_Collective(); call && hasNeighbours(*call)) {
        end = layOutHandovers(end, rank, *call, *buffers[numbers(instruction->reads())[0]],
                              *buffers[numbers(instruction->writes())[0]]);
      }
  }
  return end;
}

/// Lays out: head, groups, channels and handovers, staging slots, arenas.
void LocalFabric::layOut() {
  uint64_t end = layOutChannels(layOutGroups(sizeof(Head)));
  stagingStart = roundUp(end, kPage);
  arenaStart = roundUp(stagingStart + loaded->numRanks() * groups.size() * 2 * mostStaged(), kPage);
  for (size_t rank = 0; rank < loaded->numRanks(); ++rank)
    arenaStride = std::max(arenaStride, roundUp(loaded->programOf(rank).work_bytes(), kPage));
  totalBytes = arenaStart + loaded->numRanks() * arenaStride;
}

Result<LocalFabric> LocalFabric::create(const LoadedPlan &plan) {
  LocalFabric fabric;
  fabric.loaded = &plan;
  fabric.hasCores = plan.numRanks() <= std::max(1u, std::thread::hardware_concurrency());
  fabric.layOut();
  auto memory = Mapping::shared(fabric.totalBytes);
  if (!memory)
    return tl::unexpected(memory.error());
  fabric.memory = std::move(*memory);
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
  return memory.data() + stagingStart + ((rank * groups.size() + set) * 2 + parity) * mostStaged();
}

LocalFabric::Channel &LocalFabric::channel(uint32_t from, uint32_t to, uint32_t tag) const {
  return *reinterpret_cast<Channel *>(memory.data() + channels.at({from, to, tag}));
}

LocalFabric::Handover &LocalFabric::handover(size_t set, uint32_t from, uint32_t to) const {
  return *reinterpret_cast<Handover *>(memory.data() + handovers.at({set, from, to}));
}

std::byte *LocalFabric::slot(Handover &handover, unsigned number) const {
  return reinterpret_cast<std::byte *>(&handover + 1) + number * slotBytes();
}

Barrier &LocalFabric::world() const { return reinterpret_cast<Head *>(memory.data())->world; }
std::atomic<uint32_t> &LocalFabric::abort() const { return reinterpret_cast<Head *>(memory.data())->abort; }

} // namespace mpopt::runtime
