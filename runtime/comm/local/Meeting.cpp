#include "comm/local/Meeting.h"

#include <algorithm>

namespace mpopt::runtime {

Meeting::Meeting(const LocalFabric &fabric, uint32_t rank, Progress &progress, size_t set, uint32_t sequence)
    : fabric(fabric), progress(progress), sequence(sequence) {
  auto groups = items(items(fabric.plan().plan().group_sets())[set]->groups());
  for (size_t number = 0; number < groups.size(); ++number) {
    auto ranks = numbers(groups[number]->ranks());
    auto found = std::ranges::find(ranks, rank);
    if (found == ranks.end())
      continue;
    members = ranks;
    self = found - ranks.begin();
    group = fabric.group(set, number);
  }
}

Status Meeting::compare(unsigned slot, uint64_t mine) const {
  for (size_t i = 0; i < members.size(); ++i) {
    uint64_t theirs = group.cells[i].announced[slot].load(std::memory_order_relaxed);
    if (theirs != mine)
      return error("rank " + std::to_string(members[i]) + " is in collective " + std::to_string(uint32_t(theirs)) +
                   " of step " + std::to_string(theirs >> 32) + " instead of " + std::to_string(sequence) +
                   " of step " + std::to_string(mine >> 32));
  }
  return {};
}

Status Meeting::meet() {
  // A slow member still compares one slot while a fast one announces the next meeting in the other.
  unsigned slot = parity();
  uint64_t mine = progress.step.load(std::memory_order_relaxed) << 32 | sequence;
  group.cells[self].announced[slot].store(mine, std::memory_order_relaxed);
  progress.waiting.store(1, std::memory_order_relaxed);
  bool all = group.barrier->arriveAndWait(static_cast<uint32_t>(members.size()), {&fabric.abort(), fabric.spins()});
  progress.waiting.store(0, std::memory_order_relaxed);
  if (!all)
    return error(kGivenUp);
  return compare(slot, mine);
}

} // namespace mpopt::runtime
