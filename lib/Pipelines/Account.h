#ifndef MPOPT_LIB_PIPELINES_ACCOUNT_H
#define MPOPT_LIB_PIPELINES_ACCOUNT_H

#include "ChoosePipeline.h"
#include "mpopt/Pipelines/Compile.h"
#include "llvm/Support/JSON.h"

namespace mpopt {

/// The plan's account: what was chosen and what it costs. Reads the planned module for the strategy; add what the program
/// says with addProgram. The same input gives the same text.
llvm::json::Object startAccount(mlir::ModuleOp planned, const CompileOptions &options,
                                const planning::PlanReport &report);

/// The numbers of stages and microbatches among which the planner chose; nothing where it had no choice.
void addCandidates(llvm::json::Object &account, llvm::ArrayRef<PipelineCandidate> tried);

/// Collectives with their bytes, and memory per device.
void addProgram(llvm::json::Object &account, mlir::ModuleOp program, const planning::PlanReport &report);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_ACCOUNT_H
