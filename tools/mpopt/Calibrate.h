#ifndef MPOPT_TOOLS_MPOPT_CALIBRATE_H
#define MPOPT_TOOLS_MPOPT_CALIBRATE_H

#include "mpopt/Support/Result.h"
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace mpopt {

struct CalibrateArguments {
  std::string device = "host", output, libraries, linksFrom, products, against;
  int gpu = 0;
};

/// Adds `mpopt calibrate`, which measures this machine.
CLI::App *addCalibrateCommand(CLI::App &app, CalibrateArguments &arguments);

/// Runs it; the exit code. Errors are one line on stderr.
int calibrate(const CalibrateArguments &arguments);

/// Measures a GPU, writes its machine file to `path` and its products' times where the arguments say; returns what to
/// tell the user. `progress` hears of each part of the work.
Result<std::string> calibrateGpu(const CalibrateArguments &arguments, const std::string &path,
                                 const std::function<void(const std::string &)> &progress);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_CALIBRATE_H
