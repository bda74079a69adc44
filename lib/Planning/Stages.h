#ifndef MPOPT_LIB_PLANNING_STAGES_H
#define MPOPT_LIB_PLANNING_STAGES_H

#include "Model.h"
#include "mpopt/Planning/Planning.h"

namespace mpopt::planning {

/// Cuts a planned @main into the strategy's number of pipeline stages, runs of its operators in the order of the program: marks the operators with
/// their stage and fills in what the report says of stages, times and memory. The cuts are those that the cost model prefers for the
/// objective: the time of a step, made of all stages' times for the first microbatch and the slowest stage's for each further one; for
/// throughput, the slowest stage's; for memory, the largest stage's bytes. A stage's time includes taking the values that reach it.
///
/// Operators that are cheaper to compute than their results are to send, and depend on the model's inputs alone, belong to no stage: each stage
/// that uses them computes them (masks, mostly).
///
/// `machine` as forDevices returned it; `report` as makeReport left it. Error: there are fewer operators than stages, or every way to cut
/// leaves a stage that exceeds `memoryLimit` bytes per device.
Status assignStages(mlir::func::FuncOp main, const Model &model, const search::Solution &solution, Prices &prices,
                    const machine::Machine &machine, const PlanOptions &options, int64_t memoryLimit,
                    PlanReport &report);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_STAGES_H
