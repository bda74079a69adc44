#ifndef MPOPT_LIB_PIPELINES_TIMELINE_H
#define MPOPT_LIB_PIPELINES_TIMELINE_H

#include "mpopt/Cost/Collective.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Planning/Planning.h"

namespace mpopt {

/// One instruction of a step.
struct TimelineEvent {
  double start = 0, seconds = 0;
  std::string kind;                  ///< "compute", "send", "receive", or the collective's: "all_reduce".
  std::string node;                  ///< The ONNX node that it is for.
  std::optional<int64_t> microbatch; ///< Where there are several.
  int64_t bytes = 0;                 ///< That one device passes into a collective, sends or receives.
  /// Of a kernel: what arithmetic limits, what memory traffic limits, starting it.
  double arithmeticSeconds = 0, trafficSeconds = 0, launchSeconds = 0;
  /// Of a collective and of a message: bytes count where they are sent, the seconds of a message where it is received.
  std::vector<cost::LevelTraffic> traffic;
  int64_t liveBytes = 0; ///< Run-time memory in use while it runs, on one device.
};

/// A step as each device of one stage runs it: they run the same instructions on parts of the same size, so none of them waits for another.
struct Lane {
  int64_t stage = 0, firstRank = 0, ranks = 1;
  double busySeconds = 0; ///< The rest of the step it waits for other stages.
  std::vector<TimelineEvent> events;
};

struct Timeline {
  double seconds = 0;
  std::vector<Lane> lanes; ///< One per program: per stage of a pipeline.
};

/// Goes through the programs' instructions with the times that the plan was made by: a kernel takes what its operators were priced at, a
/// collective what lib/Cost says, a message its way over the link between the two stages. A receive waits for its send, and what
/// overwrites a payload for its receive, as in the runtime. `machines`: of each program, as planning::machinesOfStages() returned them; `machine` as
/// forDevices() returned it for all `devices`.
Timeline makeTimeline(mlir::ModuleOp program, llvm::ArrayRef<machine::Machine> machines,
                      const machine::Machine &machine, int64_t devices, const planning::PlanReport &report);

/// The mesh that a program's shardings and collectives name.
machine::Mesh meshOf(rt::ProgramOp program);

/// Bytes that one device is expected to pass to all devices, itself included, in a collective that sends tokens to experts, where all experts are
/// as likely to be chosen; nothing for other kinds.
std::optional<int64_t> routedBytes(rt::CollectiveOp op);

/// The name of the ONNX node at a location; empty where it names none.
std::string nodeNameOf(mlir::Location loc);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_TIMELINE_H
