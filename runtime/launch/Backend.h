#ifndef MPOPT_RUNTIME_LAUNCH_BACKEND_H
#define MPOPT_RUNTIME_LAUNCH_BACKEND_H

#include "comm/Communicator.h"
#include "core/Loader.h"
#include "core/Progress.h"

namespace mpopt::runtime {

/// Makes devices and communicators for the ranks of one plan. It is made before the ranks start; what ranks in processes share is
/// allocated then.
class Backend {
public:
  virtual ~Backend() = default;
  /// Called by each rank, on its own thread or in its own process.
  virtual Result<std::unique_ptr<Device>> createDevice(unsigned rank) = 0;
  virtual Result<std::unique_ptr<Communicator>> createCommunicator(unsigned rank, Progress &progress) = 0;
  /// Makes all ranks stop within milliseconds; from any thread or process.
  virtual void giveUp() = 0;
  virtual bool givenUp() const = 0;
};

/// The backend for the plan's target.
Result<std::unique_ptr<Backend>> createBackend(const LoadedPlan &plan);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_LAUNCH_BACKEND_H
