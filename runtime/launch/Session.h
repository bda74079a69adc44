#ifndef MPOPT_RUNTIME_LAUNCH_SESSION_H
#define MPOPT_RUNTIME_LAUNCH_SESSION_H

#include "core/Loader.h"
#include "core/Ports.h"

#include <memory>

namespace mpopt::runtime {

struct RunOptions {
  bool processes = false;        // one process per rank instead of one thread
  uint64_t steps = 1;            // how often the program runs, always on the same inputs
  double timeoutSeconds = 60;    // the run is given up when no rank gets on for so long
  bool trace = false;            // keep times of the instructions of the latest steps
  double threadGraceSeconds = 3; // after a failure, how long ranks that are threads may take to stop
  bool bindsRanks = true; // each rank stays on a core of its own where the run takes most of the host (see coresFor)
};

/// One run of a plan on this host. Inputs are set, run() starts the ranks, runs all steps and waits for the ranks to end, then outputs can be
/// read. When a rank dies, fails or stalls, all are stopped and run() says which, at which step, in which instruction. No process
/// and no shared memory outlives the session; nothing of it ever has a name in the file system.
///
/// Ranks that are processes are stopped whatever they do. Ranks that are threads stop at their next instruction or while they wait; one that
/// crashed, or does not stop in time, cannot be removed, so the whole process ends, with the failure on stderr and exit code 1.
class Session {
public:
  /// `plan` must outlive the session.
  static Result<Session> create(const LoadedPlan &plan, const RunOptions &options);
  Session(Session &&) noexcept;
  ~Session();

  /// Inputs and outputs by their position in the plan. The tensor must have the port's shape and type.
  Status setInput(size_t port, const Tensor &tensor);
  Tensor output(size_t port) const;

  Status run();

  /// Of each step: from the moment all ranks begin to the moment the last ends; uploads and downloads included. Where steps stream through
  /// the ranks: from the end of the step before, for all but the first.
  std::vector<double> stepSeconds() const;
  /// From the start of a rank until it was ready for its first step.
  double loadSeconds(size_t rank) const;
  Status writeTrace(const std::string &path) const;

private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_LAUNCH_SESSION_H
