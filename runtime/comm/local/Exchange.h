#ifndef MPOPT_RUNTIME_COMM_LOCAL_EXCHANGE_H
#define MPOPT_RUNTIME_COMM_LOCAL_EXCHANGE_H

#include "comm/local/LocalFabric.h"
#include "core/Progress.h"
#include "device/Device.h"

namespace mpopt::runtime {

/// A permute or halo. A member waits for those that it reads from, and in the end for those that read from it; never for its whole group.
LaunchPtr makeExchange(const LocalFabric &fabric, uint32_t rank, Progress &progress, const plan::Collective &call,
                       const plan::Instruction &instruction, const Operands &operands);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_EXCHANGE_H
