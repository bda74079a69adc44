#include "comm/local/Exchange.h"
#include "comm/Communicator.h"
#include "comm/local/Meeting.h"
#include "comm/local/Moves.h"
#include "comm/local/Neighbours.h"

#include <algorithm>
#include <cstring>

namespace mpopt::runtime {
namespace {

class Exchange : public Launch {
public:
  Exchange(const LocalFabric &fabric, uint32_t rank, Progress &progress, const plan::Collective &call,
           const plan::Instruction &instruction, const Operands &operands)
      : fabric(fabric), progress(progress), sequence(call.sequence()), source(operands.reads[0]),
        result(operands.writes[0]), payload(*elementCount(source.shape) * sizeOf(source.dtype)),
        staged(payload <= fabric.slotBytes()), group(groupOf(fabric.plan().plan(), call.group_set(), rank)),
        from(group.members.size()), moves(Moves::of(call, source, result, group.members.size(), group.place)) {
    auto buffers = items(fabric.plan().programOf(rank).buffers());
    uint32_t read = numbers(instruction.reads())[0], written = numbers(instruction.writes())[0];
    for (size_t member = 0; member < from.size(); ++member) {
      uint32_t other = group.members[member];
      auto sources = sourcesOf(call, *buffers[read], *buffers[written], from.size(), member);
      if (std::ranges::find(sources, group.place) != sources.end())
        readers.push_back(&fabric.handover(call.group_set(), rank, other));
      if (member == group.place)
        for (size_t place : sources)
          givers.push_back({&fabric.handover(call.group_set(), group.members[place], rank), place});
      from[member] = fabric.address(other, read);
    }
  }

  Status submit() override {
    uint64_t mine = announcement(progress, sequence);
    for (Handover *reader : readers)
      if (!offer(*reader, mine))
        return error(kGivenUp);
    moves.runOwn(source.data, result.data);
    for (const Giver &giver : givers)
      if (Status status = await(giver, mine); !status)
        return status;
    moves.runOthers(from, result.data);
    for (const Giver &giver : givers) {
      giver.handover->taken.fetch_add(1);
      wake(giver.handover->taken, giver.handover->takenSleepers);
    }
    for (Handover *reader : readers)
      if (!staged && !awaitTaken(*reader))
        return error(kGivenUp);
    return {};
  }

private:
  using Handover = LocalFabric::Handover;
  struct Giver {
    Handover *handover;
    size_t place;
  };

  bool waitWhileIs(std::atomic<uint32_t> &word, uint32_t value, std::atomic<uint32_t> &sleepers) {
    progress.beginWait();
    bool changed = waitWhile(word, value, sleepers, {&fabric.abort(), fabric.spins()});
    progress.endWait();
    return changed;
  }

  /// Of two slots the one that is filled now was emptied when all but the latest payload were taken.
  bool offer(Handover &reader, uint64_t mine) {
    uint32_t number = reader.offered.load(std::memory_order_relaxed);
    if (!waitWhileIs(reader.taken, number - 2, reader.takenSleepers))
      return false;
    reader.announced[number % 2] = mine;
    if (staged)
      std::memcpy(fabric.slot(reader, number % 2), source.data, payload);
    reader.offered.fetch_add(1);
    wake(reader.offered, reader.offeredSleepers);
    return true;
  }

  Status await(const Giver &giver, uint64_t mine) {
    Handover &handover = *giver.handover;
    uint32_t number = handover.taken.load(std::memory_order_relaxed);
    if (!waitWhileIs(handover.offered, number, handover.offeredSleepers))
      return error(kGivenUp);
    if (uint64_t theirs = handover.announced[number % 2]; theirs != mine)
      return mismatch(group.members[giver.place], theirs, mine);
    if (staged)
      from[giver.place] = fabric.slot(handover, number % 2);
    return {};
  }

  /// The payload before may have been staged, and not be taken yet.
  bool awaitTaken(Handover &reader) {
    uint32_t all = reader.offered.load(std::memory_order_relaxed), taken;
    while ((taken = reader.taken.load(std::memory_order_acquire)) != all)
      if (!waitWhileIs(reader.taken, taken, reader.takenSleepers))
        return false;
    return true;
  }

  const LocalFabric &fabric;
  Progress &progress;
  uint32_t sequence;
  BufferView source, result;
  uint64_t payload;
  bool staged;
  GroupPlace group;
  std::vector<const std::byte *> from; // one per member
  Moves moves;
  std::vector<Handover *> readers;
  std::vector<Giver> givers;
};

} // namespace

LaunchPtr makeExchange(const LocalFabric &fabric, uint32_t rank, Progress &progress, const plan::Collective &call,
                       const plan::Instruction &instruction, const Operands &operands) {
  return std::make_unique<Exchange>(fabric, rank, progress, call, instruction, operands);
}

} // namespace mpopt::runtime
