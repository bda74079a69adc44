#ifndef MPOPT_RUNTIME_LAUNCH_FAULT_H
#define MPOPT_RUNTIME_LAUNCH_FAULT_H

#include "launch/Backend.h"

namespace mpopt::runtime {

/// A failure made on purpose, for tests: the environment variable MPOPT_FAULT=kill|stall:RANK:STEP:INSTRUCTION makes one rank die (in
/// thread mode: leave without a word) or hang before an instruction. Steps and instructions count from 0.
struct Fault {
  enum class Kind { none, kill, stall };
  Kind kind = Kind::none;
  unsigned rank = 0;
  uint64_t step = 0;
  uint32_t instruction = 0;

  static Result<Fault> fromEnvironment();
  bool hits(unsigned inRank, uint64_t inStep, uint32_t inInstruction) const {
    return kind != Kind::none && rank == inRank && step == inStep && instruction == inInstruction;
  }
  /// Does it. Returns only in thread mode; then the caller must leave without a word.
  void strike(const Backend &backend, bool inProcess) const;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_LAUNCH_FAULT_H
