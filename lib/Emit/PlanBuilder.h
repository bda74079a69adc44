#ifndef MPOPT_LIB_EMIT_PLANBUILDER_H
#define MPOPT_LIB_EMIT_PLANBUILDER_H

#include "WeightWriter.h"
#include "plan_generated.h"

namespace mpopt::emit {

/// A program, its mesh, and where its weights are.
struct StagePlan {
  rt::ProgramOp program;
  shd::MeshAttr mesh;
  std::unique_ptr<WeightWriter> weights;
};

/// Translates the programs of all stages to the plan format, instruction by instruction: everything but kernels, weights file and account. The
/// devices of a stage's mesh are ranks in a row, after those of the stages before.
std::unique_ptr<plan::PlanT> buildPlan(llvm::ArrayRef<StagePlan> stages);

} // namespace mpopt::emit

#endif // MPOPT_LIB_EMIT_PLANBUILDER_H
