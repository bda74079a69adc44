#ifndef MPOPT_RUNTIME_LAUNCH_RANKBODY_H
#define MPOPT_RUNTIME_LAUNCH_RANKBODY_H

#include "core/Ports.h"
#include "core/Trace.h"
#include "launch/Backend.h"
#include "launch/Fault.h"
#include "launch/Session.h"

namespace mpopt::runtime {

enum class RankState : uint32_t { running, done, failed, stopped };

/// What a rank publishes; in memory shared with the launcher.
struct alignas(64) RankSlot {
  static constexpr size_t kMessageBytes = 1024;
  Progress progress;
  std::atomic<RankState> state;
  std::atomic<bool> left;   // its thread has ended, or never will: it crashed
  std::atomic<int> crashed; // in thread mode: the signal that a crash raised
  int64_t loadNanoseconds;
  char message[kMessageBytes]; // why it failed
};

/// Everything a rank needs, the same for all ranks.
struct Job {
  const LoadedPlan *plan = nullptr;
  RunOptions options;
  Fault fault;
  Backend *backend = nullptr;
  PortLayout ports;
  RankSlot *slots = nullptr;
  TimeSpan *times = nullptr; // [step][rank]
  std::byte *host = nullptr; // the ports' images
  std::vector<TraceBuffer> traces;
  std::vector<int> cores; // by rank, where each stays; empty when they run anywhere
  int finished = -1;      // an eventfd that a rank adds 1 to when it ends
};

/// Loads and runs one rank to its end, and publishes how it ended.
void runRank(const Job &job, unsigned rank);

/// Waits until all ranks have ended; gives the run up when one dies, fails or stalls. `pids` is empty in thread mode. Returns the first
/// failure. In thread mode a rank that crashed or cannot be stopped ends the whole process, with the failure on stderr and exit code 1.
Status watchRanks(const Job &job, std::span<const int> pids);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_LAUNCH_RANKBODY_H
