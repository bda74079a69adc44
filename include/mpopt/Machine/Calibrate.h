#ifndef MPOPT_MACHINE_CALIBRATE_H
#define MPOPT_MACHINE_CALIBRATE_H

#include "mpopt/Machine/Machine.h"

namespace mpopt::machine {

/// Measures this host in about four seconds: rate of a blocked f32 matrix loop
/// on one core, bandwidth of memory (one thread, all cores) and of the caches,
/// latency and bandwidth between two threads, cost of a kernel call.
Result<Machine> calibrateHost();

/// Where load() looks for what was calibrated on this machine, "host" and "cuda":
/// $XDG_CACHE_HOME/mpopt/NAME.toml, else ~/.cache/mpopt/NAME.toml. Empty where
/// neither variable is set.
std::string calibratedPath(const std::string &name);

/// Three significant digits: a measurement holds no more.
double rounded(double value);

} // namespace mpopt::machine

#endif // MPOPT_MACHINE_CALIBRATE_H
