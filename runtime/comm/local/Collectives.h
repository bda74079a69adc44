#ifndef MPOPT_RUNTIME_COMM_LOCAL_COLLECTIVES_H
#define MPOPT_RUNTIME_COMM_LOCAL_COLLECTIVES_H

#include "comm/local/LocalFabric.h"
#include "core/Progress.h"
#include "device/Device.h"

namespace mpopt::runtime {

/// A collective that passed the plan's verifier, as reads of the peers' memory.
Result<LaunchPtr> makeLocalCollective(const LocalFabric &fabric, uint32_t rank, Progress &progress,
                                      const plan::Collective &call, const plan::Instruction &instruction,
                                      const Operands &operands);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_COLLECTIVES_H
