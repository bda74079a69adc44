#ifndef MPOPT_DIALECT_RT_RT_H
#define MPOPT_DIALECT_RT_RT_H

#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/Shd/Shd.h"

#include "mpopt/Dialect/RT/RTDialect.h.inc"
#include "mpopt/Dialect/RT/RTEnums.h.inc"
#define GET_TYPEDEF_CLASSES
#include "mpopt/Dialect/RT/RTTypes.h.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/RT/RTOps.h.inc"

namespace mpopt::rt {
/// Marks a function as a compiled kernel.
inline constexpr llvm::StringLiteral kKernelAttr = "rt.kernel";
} // namespace mpopt::rt

#endif // MPOPT_DIALECT_RT_RT_H
