#ifndef MPOPT_SCHEDULE_PASSES_H
#define MPOPT_SCHEDULE_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mpopt::schedule {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "mpopt/Schedule/Passes.h.inc"

} // namespace mpopt::schedule

#endif // MPOPT_SCHEDULE_PASSES_H
