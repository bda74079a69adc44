#ifndef MPOPT_RUNTIME_FORMAT_MESSAGES_H
#define MPOPT_RUNTIME_FORMAT_MESSAGES_H

#include "mpopt/Support/Result.h"
#include "plan_generated.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mpopt::runtime {

/// A rank that a send or receive talks to, and the part of the payload that passes between the two.
struct Partner {
  uint32_t rank = 0;
  const plan::Piece *piece = nullptr; ///< Null: all of it.
};

/// The partners of a send or receive of `rank`, in the order of the transfer; none of any other instruction. Expects indices within their bounds.
std::vector<Partner> partnersOf(const plan::Plan &plan, uint32_t rank, const plan::Instruction &instruction);

/// Which sends must be over before each instruction of a program, and, last, before its end: a send's payload lies in the sender's memory
/// until the receiver has taken it, and waiting for that is put off until an instruction overwrites the payload, so that two ranks
/// may send to each other before either receives. In a plan that streams, that may be an instruction of the next step; what the next
/// step's inputs overwrite is waited for at the end. Expects indices within their bounds.
std::vector<std::vector<uint32_t>> sendsDoneBefore(const plan::Plan &plan, size_t program);

/// Whether every rank comes to the end of a step: all ranks' instruction lists are gone through together, a receive waiting for its send, what
/// overwrites a payload for its receive, a collective for all members of its group. What a rank waits for never depends on how fast
/// the others are, so one order shows it for all; and since no message crosses from one step to the next, for all steps. Expects a plan
/// that is valid otherwise. The error names a rank that waits forever, and where.
Status verifyProgress(const plan::Plan &plan);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_FORMAT_MESSAGES_H
