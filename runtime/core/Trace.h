#ifndef MPOPT_RUNTIME_CORE_TRACE_H
#define MPOPT_RUNTIME_CORE_TRACE_H

#include "core/PlanAccess.h"
#include "core/Progress.h"

#include <vector>

namespace mpopt::runtime {

struct TraceEvent {
  TimeSpan span;
  WaitLog waits;
  uint64_t routedBytes;
};

/// One rank's events of the latest steps, in memory that its owner gives. Empty when nothing is traced. Instruction i has slot i; when its
/// completion is awaited later, as a send's is, that has slot `instructions` + i.
struct TraceBuffer {
  TraceEvent *events = nullptr; // [step % steps][slot]
  uint32_t steps = 0, instructions = 0;

  static size_t bytes(uint32_t steps, uint32_t instructions) {
    return sizeof(TraceEvent) * steps * slots(instructions);
  }
  static size_t slots(uint32_t instructions) { return 2 * size_t(instructions); }

  int64_t begin(Progress &progress) const {
    if (!events)
      return 0;
    progress.waits = {};
    progress.routedBytes = 0;
    return now();
  }
  void end(uint64_t step, uint32_t slot, int64_t begin, const Progress &progress) const {
    if (events)
      events[(step % steps) * slots(instructions) + slot] = {{begin, now()}, progress.waits, progress.routedBytes};
  }
};

/// What a trace is made of: a buffer per rank, and when each step began and ended on each rank ([step][rank]).
struct TraceData {
  std::span<const TraceBuffer> ranks;
  std::span<const TimeSpan> steps;
};

/// Writes what was traced in Chrome's JSON format, which Perfetto reads. One track per rank: a slice per step, in it one per instruction
/// under its leading ONNX node's name, in that one for each time that it waited for other ranks. `args` hold the kind, the
/// other nodes of a fused kernel, predicted and waiting time, and what a collective moves; of tokens sent to experts, what really came. The file appears whole or not at all.
Status writeTrace(const std::string &path, const plan::Plan &plan, const TraceData &data);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_TRACE_H
