#ifndef MPOPT_MACHINE_CALIBRATE_H
#define MPOPT_MACHINE_CALIBRATE_H

#include "mpopt/Machine/Machine.h"

namespace mpopt::machine {

/// Measures this host in about two seconds: rate of a blocked f32 matrix loop
/// on one core, bandwidth of memory (one thread, all cores) and of the cache,
/// latency and bandwidth between two threads, cost of a kernel call.
Result<Machine> calibrateHost();

/// Where load("host") looks for the calibrated host:
/// $XDG_CACHE_HOME/mpopt/host.toml, else ~/.cache/mpopt/host.toml. Empty where
/// neither variable is set.
std::string hostCachePath();

} // namespace mpopt::machine

#endif // MPOPT_MACHINE_CALIBRATE_H
