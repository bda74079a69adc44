#ifndef MPOPT_RUNTIME_LAUNCH_CRASH_H
#define MPOPT_RUNTIME_LAUNCH_CRASH_H

#include "launch/RankBody.h"

#include <array>
#include <csignal>
#include <string>

namespace mpopt::runtime {

/// While ranks run as threads: a crash (a bad address, a mapped file that was cut short, a division by zero, an illegal instruction)
/// of a rank's thread is noted in its slot and the thread stopped for good, so that the launcher can say where it happened. The
/// process cannot go on after that. One at a time; what handled these signals before does so again afterwards.
class CrashHandlers {
public:
  static constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

  CrashHandlers();
  ~CrashHandlers();
  /// For ranks that are processes: they die of crashes, which the launcher sees.
  static void setDefaults();
};

/// Says whose crash it is while a rank runs on this thread.
class CrashGuard {
public:
  CrashGuard(RankSlot &slot, int finished);
  ~CrashGuard();
};

/// "SIGSEGV", and for some what is probably behind it.
std::string describeSignal(int signal);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_LAUNCH_CRASH_H
