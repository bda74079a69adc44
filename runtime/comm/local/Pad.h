#ifndef MPOPT_RUNTIME_COMM_LOCAL_PAD_H
#define MPOPT_RUNTIME_COMM_LOCAL_PAD_H

#include "core/PlanAccess.h"

#include <array>

namespace mpopt::runtime {

/// The bytes of one element of a type that holds `value`: rounded for floats, clamped for integers.
std::array<std::byte, 8> elementOf(plan::DType dtype, double value);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_PAD_H
