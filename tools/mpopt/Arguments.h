#ifndef MPOPT_TOOLS_MPOPT_ARGUMENTS_H
#define MPOPT_TOOLS_MPOPT_ARGUMENTS_H

#include "mpopt/Pipelines/Compile.h"
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace mpopt {

/// What the command line says; `mpopt MODEL` and `mpopt plan MODEL` share most of it.
struct Arguments {
  std::string model, output, machine = "host", strategy, objective = "latency", emit, pin, planJson, annotate, json,
                             report, cpu = "native";
  std::vector<std::string> dims;
  int64_t devices = 1;
  bool explain = false, dryRun = false, ignoreAnnotations = false;
  /// Whether the command line gives these itself, so that --plan-json does not.
  CLI::Option *devicesOption = nullptr, *machineOption = nullptr, *objectiveOption = nullptr;
};

/// Options that choose a plan and say where its account goes.
void addPlanningOptions(CLI::App &app, Arguments &arguments);

/// Options of compilation to a plan file.
void addCompileOptions(CLI::App &app, Arguments &arguments);

/// Takes devices, machine, dimensions and layout from --plan-json where the command line does not give them.
Result<std::optional<planning::FixedPlan>> readFixedPlan(Arguments &arguments);

/// Options of the compiler for `machine`, which must outlive them. Errors name the flag or file.
Result<CompileOptions> makeOptions(const Arguments &arguments, const machine::Machine &machine);

/// Prints an error the way every command does; the exit code.
int fail(const std::string &message);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_ARGUMENTS_H
