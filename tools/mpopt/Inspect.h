#ifndef MPOPT_TOOLS_MPOPT_INSPECT_H
#define MPOPT_TOOLS_MPOPT_INSPECT_H

#include <string>
#include <vector>

namespace mpopt {

struct InspectArguments {
  std::string file;              // a model or a plan
  std::vector<std::string> dims; // as for --dim; models only
  bool json = false;
};

/// Prints what a model or a plan is; the exit code. Errors are one line on stderr.
int inspect(const InspectArguments &arguments);

/// The parts of inspect(): "" on success, or the error.
std::string inspectOnnx(const InspectArguments &arguments);
std::string inspectPlan(const InspectArguments &arguments);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_INSPECT_H
