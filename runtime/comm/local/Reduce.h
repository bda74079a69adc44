#ifndef MPOPT_RUNTIME_COMM_LOCAL_REDUCE_H
#define MPOPT_RUNTIME_COMM_LOCAL_REDUCE_H

#include "core/PlanAccess.h"

namespace mpopt::runtime {

/// to[i] = the reduction of from[0][i], from[1][i], ... in this order, for `bytes` bytes. f16 and bf16 are accumulated in f32 and rounded once;
/// integers wrap; booleans are 0 or 1 (sum and max: or, prod and min: and). `to` may be one of `from`.
using ReduceFunction = void (*)(std::byte *to, const std::byte *const *from, size_t count, size_t bytes);
ReduceFunction reduceFunction(plan::DType dtype, plan::ReduceKind kind);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_REDUCE_H
