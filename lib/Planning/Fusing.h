#ifndef MPOPT_LIB_PLANNING_FUSING_H
#define MPOPT_LIB_PLANNING_FUSING_H

#include "mlir/IR/Operation.h"

namespace mpopt::planning {

/// Whether the value stays in registers between the operators that make and use it, or is read through a view, as kernels are formed later: it
/// is neither written nor read, and they are one launch. What is said here leaves out kernels of several users; shardings are taken to agree.
bool isFused(mlir::OpOperand &use);
/// The same of a result.
bool isFused(mlir::OpResult result);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_FUSING_H
