#include "comm/local/Meeting.h"
#include "comm/local/Neighbours.h"

namespace mpopt::runtime {

uint64_t announcement(const Progress &progress, uint32_t sequence) {
  return progress.step.load(std::memory_order_relaxed) << 32 | sequence;
}

Status mismatch(uint32_t rank, uint64_t theirs, uint64_t mine) {
  return error("rank " + std::to_string(rank) + " is in collective " + std::to_string(uint32_t(theirs)) + " of step " +
               std::to_string(theirs >> 32) + " instead of " + std::to_string(uint32_t(mine)) + " of step " +
               std::to_string(mine >> 32));
}

Meeting::Meeting(const LocalFabric &fabric, uint32_t rank, Progress &progress, size_t set, uint32_t sequence)
    : fabric(fabric), progress(progress), sequence(sequence) {
  GroupPlace group = groupOf(fabric.plan().plan(), set, rank);
  members = group.members;
  self = group.place;
  cells = fabric.group(set, group.number);
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
      return mismatch(members[i], theirs, mine);
  }
  return {};
}

void Meeting::arrive() {
  // A slow member still compares one slot while a fast one announces the next meeting in the other.
  LocalFabric::Cell &own = cells[self];
  uint32_t before = own.meetings.load(std::memory_order_relaxed);
  own.announced[before & 1].store(announcement(progress, sequence), std::memory_order_relaxed);
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
  return compare(before & 1, announcement(progress, sequence));
}

} // namespace mpopt::runtime
