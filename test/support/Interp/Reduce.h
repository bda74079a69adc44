#ifndef MPOPT_TEST_SUPPORT_INTERP_REDUCE_H
#define MPOPT_TEST_SUPPORT_INTERP_REDUCE_H

#include "Tensor.h"
#include "mpopt/Dialect/Shd/Shd.h"

namespace mpopt::interp {

/// What leaves the other operand as it is: 0, 1, -inf or inf.
double identityOf(shd::ReduceKind kind);
/// into[i] = reduction of into[i] and from[j]; NaN wins under max and min.
void reduceInto(shd::ReduceKind kind, Tensor &into, int64_t i, const Tensor &from, int64_t j);

} // namespace mpopt::interp

#endif // MPOPT_TEST_SUPPORT_INTERP_REDUCE_H
