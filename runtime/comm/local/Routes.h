#ifndef MPOPT_RUNTIME_COMM_LOCAL_ROUTES_H
#define MPOPT_RUNTIME_COMM_LOCAL_ROUTES_H

#include "comm/local/Reduce.h"
#include "device/Device.h"

namespace mpopt::runtime {

/// Which rows one member of a group takes from the others in a dispatch or a combine. The indices only choose among rows whose places are
/// fixed when the launch is made: whatever they hold, nothing outside of the verified buffers is read or written.
class Routes {
public:
  /// Of a collective that passed the plan's verifier.
  Routes(const plan::Collective &call, const Operands &operands, size_t members, size_t self);

  /// Both take the operands' addresses, by member, and return the bytes that came from others.
  uint64_t dispatch(std::span<const std::byte *const> from) const;
  /// `scratch` has room for an address per member.
  uint64_t combine(std::span<const std::byte *const> from, std::span<const std::byte *> scratch) const;

private:
  /// Whether one of the experts chosen for a row is that member's.
  bool goesTo(size_t member, uint64_t row) const;

  const std::byte *indices;
  std::byte *result;
  uint64_t choices, experts, rows, rowBytes; // rows: of one member
  size_t members, self;
  ReduceFunction sum;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_ROUTES_H
