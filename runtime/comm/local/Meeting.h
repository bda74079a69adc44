#ifndef MPOPT_RUNTIME_COMM_LOCAL_MEETING_H
#define MPOPT_RUNTIME_COMM_LOCAL_MEETING_H

#include "comm/Communicator.h"
#include "comm/local/LocalFabric.h"
#include "core/Progress.h"

namespace mpopt::runtime {

/// What a member announces: its step and the number of its collective.
uint64_t announcement(const Progress &progress, uint32_t sequence);
/// The error where `rank` announced something else than this member.
Status mismatch(uint32_t rank, uint64_t theirs, uint64_t mine);

/// One rank's view of its group in one collective: who the members are and where they meet.
class Meeting {
public:
  Meeting(const LocalFabric &fabric, uint32_t rank, Progress &progress, size_t set, uint32_t sequence);

  size_t size() const { return members.size(); }
  size_t place() const { return self; }
  uint32_t member(size_t i) const { return members[i]; }

  /// Which of a rank's two staging slots this run of the collective uses, before it arrives. Runs alternate over all collectives of the group
  /// set.
  unsigned parity() const { return cells[self].meetings.load(std::memory_order_relaxed) & 1; }
  /// Lets the other members go on; they may read what this one wrote before.
  void arrive();
  /// Waits, after arrive(), for all members; they must be in the same collective.
  Status await();
  Status meet() { return arrive(), await(); }

private:
  bool waitForOthers(uint32_t meetingsBefore) const;
  Status compare(unsigned slot, uint64_t mine) const;

  const LocalFabric &fabric;
  Progress &progress;
  std::span<const uint32_t> members;
  size_t self = 0;
  LocalFabric::Cell *cells = nullptr;
  uint32_t sequence;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_MEETING_H
