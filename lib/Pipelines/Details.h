#ifndef MPOPT_LIB_PIPELINES_DETAILS_H
#define MPOPT_LIB_PIPELINES_DETAILS_H

#include "mpopt/Pipelines/Compile.h"
#include "llvm/Support/JSON.h"

namespace mpopt {

/// What a report shows beyond the account that a plan file carries: every tensor's sharding, from the planned module.
void addTensors(llvm::json::Object &account, mlir::ModuleOp planned, const CompileOptions &options);

/// The step over time, memory over time, traffic by link level, what limits the step and the nearest alternative, from the program.
void addStep(llvm::json::Object &account, mlir::ModuleOp program, const CompileOptions &options,
             const planning::PlanReport &report);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_DETAILS_H
