#ifndef MPOPT_PLANNING_PASSES_H
#define MPOPT_PLANNING_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mpopt::planning {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "mpopt/Planning/Passes.h.inc"

} // namespace mpopt::planning

#endif // MPOPT_PLANNING_PASSES_H
