#ifndef MPOPT_TOOLS_MPOPT_RUN_ARGUMENTS_H
#define MPOPT_TOOLS_MPOPT_RUN_ARGUMENTS_H

#include <cstdint>
#include <string>
#include <vector>

namespace mpopt::run {

/// What the user asked for.
struct Arguments {
  std::string plan, sourceDir, outputDir, traceFile, jsonFile;
  std::vector<std::string> inputs, checks; // name=file.npy
  std::string ranks = "threads", bind = "cores";
  uint64_t repeat = 1, seed = 0;
  double tolerance = 1e-4, timeoutSeconds = 60;
};

} // namespace mpopt::run

#endif // MPOPT_TOOLS_MPOPT_RUN_ARGUMENTS_H
