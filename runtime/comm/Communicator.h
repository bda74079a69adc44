#ifndef MPOPT_RUNTIME_COMM_COMMUNICATOR_H
#define MPOPT_RUNTIME_COMM_COMMUNICATOR_H

#include "core/Strided.h"
#include "device/Device.h"

namespace mpopt::runtime {

/// The error of a rank that stops because the run was given up elsewhere.
inline constexpr char kGivenUp[] = "the run was given up";

/// How one rank talks to the others. Collectives are made from the plan; all ranks of a group submit the same ones in the same
/// order, and a mismatch is an error. Results of reductions are the same bits on all ranks and in all runs.
class Communicator {
public:
  virtual ~Communicator() = default;

  /// `instruction` tells the operands' places in the program, for those who address their peers' memory.
  virtual Result<LaunchPtr> prepareCollective(const plan::Collective &call, const plan::Instruction &instruction,
                                              const Operands &operands) = 0;
  virtual Result<LaunchPtr> prepareSend(uint32_t peer, uint32_t tag, const BufferView &payload, unsigned stream) = 0;
  /// `runs` go from the peer's payload to `payload`: what of it passes.
  virtual Result<LaunchPtr> prepareRecv(uint32_t peer, uint32_t tag, const BufferView &payload, const StridedRuns &runs,
                                        unsigned stream) = 0;
  /// Work after which the payload of the latest send with this peer and tag may be overwritten.
  virtual Result<LaunchPtr> prepareSendDone(uint32_t peer, uint32_t tag, unsigned stream) = 0;

  /// Returns when every rank of the plan has called it, or with an error when the run was given up.
  virtual Status barrier() = 0;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_COMMUNICATOR_H
