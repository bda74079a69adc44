#ifndef MPOPT_RUNTIME_CORE_MESSAGELAUNCH_H
#define MPOPT_RUNTIME_CORE_MESSAGELAUNCH_H

#include "comm/Communicator.h"

namespace mpopt::runtime {

/// A send or receive of `rank`, with all its partners one after the other. `operands` as the instruction's.
Result<LaunchPtr> prepareMessage(Communicator &communicator, const plan::Plan &plan, uint32_t rank,
                                 const plan::Instruction &instruction, const Operands &operands);

/// Work after which the payload of a send of `rank` may be overwritten.
Result<LaunchPtr> prepareMessageDone(Communicator &communicator, const plan::Plan &plan, uint32_t rank,
                                     const plan::Instruction &send, unsigned stream);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_MESSAGELAUNCH_H
