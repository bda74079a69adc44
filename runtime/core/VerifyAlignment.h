#ifndef MPOPT_RUNTIME_CORE_VERIFYALIGNMENT_H
#define MPOPT_RUNTIME_CORE_VERIFYALIGNMENT_H

#include "core/PlanAccess.h"

namespace mpopt::runtime {

/// Whether all vectors of 64-bit numbers lie where such numbers may. FlatBuffers' verifier looks at where the length before them lies, which
/// has 32 bits. Needs what that verifier checks, no more.
bool isAligned(const plan::Plan &plan);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_VERIFYALIGNMENT_H
