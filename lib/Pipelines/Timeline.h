#ifndef MPOPT_LIB_PIPELINES_TIMELINE_H
#define MPOPT_LIB_PIPELINES_TIMELINE_H

#include "mpopt/Cost/Collective.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Planning/Planning.h"

namespace mpopt {

/// One instruction of a step.
struct TimelineEvent {
  double start = 0, seconds = 0;
  std::string kind;  ///< "compute", or the collective's: "all_reduce".
  std::string node;  ///< The ONNX node that it is for.
  int64_t bytes = 0; ///< That one device passes into a collective.
  std::vector<cost::LevelTraffic> traffic;
  int64_t liveBytes = 0; ///< Run-time memory in use while it runs, on one device.
};

/// A step as every device of a program runs it: the devices run the same instructions on parts of the same size, so none waits for another.
struct Timeline {
  double seconds = 0;
  std::vector<TimelineEvent> events;
  std::vector<cost::LevelTraffic> links; ///< Sums by level, for all levels of the machine.
};

/// Lists a program's instructions with the times that the plan was made by: a kernel takes what its operators were priced at, a
/// collective what lib/Cost says. `machine` as forDevices() returned it.
Timeline makeTimeline(rt::ProgramOp program, const machine::Machine &machine, const machine::Mesh &mesh,
                      const planning::PlanReport &report);

/// The name of the ONNX node at a location; empty where it names none.
std::string nodeNameOf(mlir::Location loc);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_TIMELINE_H
