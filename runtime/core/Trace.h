#ifndef MPOPT_RUNTIME_CORE_TRACE_H
#define MPOPT_RUNTIME_CORE_TRACE_H

#include "core/PlanAccess.h"

#include <vector>

namespace mpopt::runtime {

/// Nanoseconds of a clock that all processes of a host share.
int64_t now();

struct TraceEvent {
  int64_t begin = 0, end = 0;
};

/// One rank's events of the latest steps, in memory that its owner gives. Empty when nothing is traced.
struct TraceBuffer {
  TraceEvent *events = nullptr; // [step % steps][instruction]
  uint32_t steps = 0, instructions = 0;

  int64_t begin() const { return events ? now() : 0; }
  void end(uint64_t step, uint32_t instruction, int64_t begin) const {
    if (events)
      events[(step % steps) * instructions + instruction] = {begin, now()};
  }
};

/// Writes what was traced in Chrome's JSON format, which Perfetto reads: one track per rank, each instruction under its ONNX node's name.
Status writeTrace(const std::string &path, const plan::Plan &plan, std::span<const TraceBuffer> ranks);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_TRACE_H
