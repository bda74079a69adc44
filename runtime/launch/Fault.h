#ifndef MPOPT_RUNTIME_LAUNCH_FAULT_H
#define MPOPT_RUNTIME_LAUNCH_FAULT_H

#include "core/Progress.h"
#include "launch/Backend.h"

namespace mpopt::runtime {

/// A failure made on purpose, for tests, by the environment variable MPOPT_FAULT=KIND:RANK:WHERE.
///  KIND   kill: the rank dies (in thread mode: leaves without a word); exit: it ends with code 0 as if all were well; stall: it hangs; stop: its
///         process is stopped (SIGSTOP); segv, bus: it touches memory that is not there; memory: an allocation fails.
///  WHERE  load, init:INSTRUCTION, or STEP:INSTRUCTION; before that instruction. Steps and instructions count from 0.
struct Fault {
  enum class Kind { none, kill, exit, stall, stop, segv, bus, memory };
  Kind kind = Kind::none;
  unsigned rank = 0;
  uint64_t step = 0;
  uint32_t instruction = 0;

  static Result<Fault> fromEnvironment();
  /// `step` may be Progress::kInit.
  bool hits(unsigned inRank, uint64_t inStep, uint32_t inInstruction) const {
    return kind != Kind::none && rank == inRank && step == inStep && instruction == inInstruction;
  }
  /// Does it. Returns only in thread mode; then the caller must leave without a word.
  void strike(const Backend &backend, bool inProcess) const;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_LAUNCH_FAULT_H
