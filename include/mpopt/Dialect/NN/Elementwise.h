#ifndef MPOPT_DIALECT_NN_ELEMENTWISE_H
#define MPOPT_DIALECT_NN_ELEMENTWISE_H

#include "mlir/IR/Operation.h"

namespace mpopt::nn {

/// Whether `op` is pointwise on operands that broadcast.
bool isElementwise(mlir::Operation *op);

} // namespace mpopt::nn

#endif // MPOPT_DIALECT_NN_ELEMENTWISE_H
