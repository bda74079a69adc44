#ifndef MPOPT_TEST_SUPPORT_INTERP_COLLECTIVES_H
#define MPOPT_TEST_SUPPORT_INTERP_COLLECTIVES_H

#include "Tensor.h"
#include "mpopt/Dialect/Shd/Shd.h"

namespace mpopt::interp {

/// Computes a `coll` operation on all devices: its operands (none for coll.index) and the answer hold one tensor per device. Failure
/// when it is not such an operation or its shapes make no sense.
mlir::FailureOr<std::vector<Tensor>>
evaluateCollective(mlir::Operation *op, llvm::ArrayRef<const std::vector<Tensor> *> operands, shd::MeshAttr mesh);

} // namespace mpopt::interp

#endif // MPOPT_TEST_SUPPORT_INTERP_COLLECTIVES_H
