#ifndef MPOPT_TOOLS_MPOPT_PLAN_H
#define MPOPT_TOOLS_MPOPT_PLAN_H

#include "Sweep.h"
#include "Train.h"

namespace mpopt {

struct PlanArguments {
  Arguments common;
  SweepArguments sweep;
  TrainArguments train;
};

/// Adds `mpopt plan`, which plans and accounts without writing a plan file.
CLI::App *addPlanCommand(CLI::App &app, PlanArguments &arguments);

/// Runs it; the exit code. Errors are one line on stderr.
int plan(PlanArguments arguments);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_PLAN_H
