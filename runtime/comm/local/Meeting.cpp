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
    cells = fabric.group(set, number);
  }
}

/// All members have come to as many meetings as this one, or to one more.
bool Meeting::waitForOthers(uint32_t meetingsBefore) const {
  for (size_t i = 1; i < members.size(); ++i) {
    LocalFabric::Cell &cell = cells[(self + i) % members.size()];
    if (!waitWhile(cell.meetings, meetingsBefore, cell.sleepers, {&fabric.abort(), fabric.spins()}))
      return false;
  }
  return true;
}

Status Meeting::compare(unsigned slot, uint64_t mine) const {
  for (size_t i = 0; i < members.size(); ++i) {
    uint64_t theirs = cells[i].announced[slot].load(std::memory_order_relaxed);
    if (theirs != mine)
      return error("rank " + std::to_string(members[i]) + " is in collective " + std::to_string(uint32_t(theirs)) +
                   " of step " + std::to_string(theirs >> 32) + " instead of " + std::to_string(sequence) +
                   " of step " + std::to_string(mine >> 32));
  }
  return {};
}

uint64_t Meeting::announcement() const { return progress.step.load(std::memory_order_relaxed) << 32 | sequence; }

void Meeting::arrive() {
  // A slow member still compares one slot while a fast one announces the next meeting in the other.
  LocalFabric::Cell &own = cells[self];
  uint32_t before = own.meetings.load(std::memory_order_relaxed);
  own.announced[before & 1].store(announcement(), std::memory_order_relaxed);
  own.meetings.exchange(before + 1); // before anybody's sleep is looked at
  wake(own.meetings, own.sleepers);
}

Status Meeting::await() {
  uint32_t before = cells[self].meetings.load(std::memory_order_relaxed) - 1;
  progress.beginWait();
  bool all = waitForOthers(before);
  progress.endWait();
  if (!all)
    return error(kGivenUp);
  return compare(before & 1, announcement());
}

} // namespace mpopt::runtime
