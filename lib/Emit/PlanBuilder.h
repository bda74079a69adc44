#ifndef MPOPT_LIB_EMIT_PLANBUILDER_H
#define MPOPT_LIB_EMIT_PLANBUILDER_H

#include "WeightWriter.h"
#include "plan_generated.h"

namespace mpopt::emit {

/// A program and where its weights are.
struct StagePlan {
  rt::ProgramOp program;
  std::unique_ptr<WeightWriter> weights;
};

/// Translates the programs of all stages to the plan format, instruction by instruction: everything but kernels, weights file and account. Rank
/// r runs the program of stage r / (devices of the mesh).
std::unique_ptr<plan::PlanT> buildPlan(llvm::ArrayRef<StagePlan> stages, shd::MeshAttr mesh);

} // namespace mpopt::emit

#endif // MPOPT_LIB_EMIT_PLANBUILDER_H
