#ifndef MPOPT_LIB_EMIT_PLANBUILDER_H
#define MPOPT_LIB_EMIT_PLANBUILDER_H

#include "WeightWriter.h"
#include "plan_generated.h"

namespace mpopt::emit {

/// Translates an rt.program to the plan format, instruction by instruction: everything but kernels, weights file and account.
std::unique_ptr<plan::PlanT> buildPlan(rt::ProgramOp program, shd::MeshAttr mesh, const WeightWriter &weights);

} // namespace mpopt::emit

#endif // MPOPT_LIB_EMIT_PLANBUILDER_H
