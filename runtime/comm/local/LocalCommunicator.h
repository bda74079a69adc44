#ifndef MPOPT_RUNTIME_COMM_LOCAL_LOCALCOMMUNICATOR_H
#define MPOPT_RUNTIME_COMM_LOCAL_LOCALCOMMUNICATOR_H

#include "comm/Communicator.h"
#include "comm/local/LocalFabric.h"
#include "core/Progress.h"

namespace mpopt::runtime {

/// Ranks of one host, which read each other's memory. Work is done on the rank's own thread when it is submitted.
class LocalCommunicator : public Communicator {
public:
  LocalCommunicator(const LocalFabric &fabric, uint32_t rank, Progress &progress)
      : fabric(fabric), rank(rank), progress(progress) {}

  Result<LaunchPtr> prepareCollective(const plan::Collective &call, const plan::Instruction &instruction,
                                      const Operands &operands) override;
  Result<LaunchPtr> prepareSend(uint32_t peer, uint32_t tag, const BufferView &payload, unsigned stream) override;
  Result<LaunchPtr> prepareRecv(uint32_t peer, uint32_t tag, const BufferView &payload, const StridedRuns &runs,
                                unsigned stream) override;
  Result<LaunchPtr> prepareSendDone(uint32_t peer, uint32_t tag, unsigned stream) override;
  Status barrier() override;

private:
  const LocalFabric &fabric;
  uint32_t rank;
  Progress &progress;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_LOCALCOMMUNICATOR_H
