#ifndef MPOPT_RUNTIME_COMM_LOCAL_MOVES_H
#define MPOPT_RUNTIME_COMM_LOCAL_MOVES_H

#include "core/Strided.h"
#include "device/Device.h"

namespace mpopt::runtime {

/// The copies by which one member of a group makes its result of an all_gather, all_to_all, permute or halo from the members' operands.
class Moves {
public:
  static Moves of(const plan::Collective &call, const BufferView &source, const BufferView &result, size_t members,
                  size_t self);

  /// Writes what comes from this member's own operand, and the padding.
  void runOwn(const std::byte *from, std::byte *to) const;
  /// Writes the rest, after runOwn(). `from` has the operands' addresses, by member.
  void runOthers(std::span<const std::byte *const> from, std::byte *to) const;

private:
  struct Move {
    size_t member;
    StridedRuns runs;
  };
  void add(size_t member, std::span<const int64_t> size, std::span<const int64_t> sourceStart,
           std::span<const int64_t> resultStart);
  void gather(const plan::Collective &call, size_t members);
  void allToAll(const plan::Collective &call, size_t members, size_t self);
  void halo(const plan::Collective &call, size_t members, size_t self);
  void preparePad(const plan::Collective &call, const BufferView &result, size_t members, size_t self);
  void padBeside(int32_t dim, int64_t begin, int64_t end);
  void copy(const Move &move, const std::byte *from, std::byte *to) const;

  std::span<const int64_t> sourceShape, resultShape;
  size_t elementBytes = 0;
  bool streams = false; // the result is too large for the caches
  std::vector<Move>
      list; // in the order of the members behind this one, which is first, so that all begin with different peers
  size_t numOwn = 0;                 // of the first moves: from this member's own operand
  std::vector<std::byte> pad;        // a row of what is written where the moves leave something
  std::vector<StridedRuns> padBoxes; // where that is, all of the result when the moves leave something inside it
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_MOVES_H
