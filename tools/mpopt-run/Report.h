#ifndef MPOPT_TOOLS_MPOPT_RUN_REPORT_H
#define MPOPT_TOOLS_MPOPT_RUN_REPORT_H

#include "launch/Session.h"

#include <map>

namespace mpopt::run {

struct StepTimes {
  double min = 0, median = 0, max = 0;
  static StepTimes of(std::vector<double> seconds);
};

struct CheckResult {
  double error = 0;
  bool passed = false;
};

/// The JSON report: times, per rank memory and instructions, collectives by kind, checks, and the plan's own account.
std::string makeReport(const runtime::LoadedPlan &plan, const runtime::Session &session,
                       const std::map<std::string, CheckResult> &checks);

} // namespace mpopt::run

#endif // MPOPT_TOOLS_MPOPT_RUN_REPORT_H
