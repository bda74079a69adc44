#ifndef MPOPT_TOOLS_MPOPT_SWEEP_H
#define MPOPT_TOOLS_MPOPT_SWEEP_H

#include "Train.h"

namespace mpopt {

/// What is varied ("devices=1,2,4", "machine=a100-80,h100", "batch=1,8"), and the price of devices ("2.5", "h100=2.5").
struct SweepArguments {
  std::vector<std::string> axes, prices;
};

void addSweepOptions(CLI::App &app, SweepArguments &arguments);

/// Plans every combination, for training where `train` says so, prints a table, writes --json and --report; the exit code. Errors are one line on stderr; a combination
/// for which there is no plan is a line of the table.
int sweep(const Arguments &common, const SweepArguments &arguments, const TrainArguments &train);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_SWEEP_H
