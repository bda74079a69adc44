#ifndef MPOPT_DIALECT_COLL_COLL_H
#define MPOPT_DIALECT_COLL_COLL_H

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mpopt/Dialect/Shd/Shd.h"

#include "mpopt/Dialect/Coll/CollDialect.h.inc"
#define GET_OP_CLASSES
#include "mpopt/Dialect/Coll/CollOps.h.inc"

namespace mpopt::coll {

/// The groups of devices that work together over `axes` (major to minor), each in group order; every device occurs once.
llvm::SmallVector<llvm::SmallVector<int64_t>> getGroups(shd::MeshAttr mesh, llvm::ArrayRef<mlir::StringAttr> axes);
/// Place of `device` in its group.
int64_t getPlace(shd::MeshAttr mesh, llvm::ArrayRef<mlir::StringAttr> axes, int64_t device);

/// The share of the rows that `dispatch` is expected to bring a device, where each chooses `chosen` of the group's `experts` evenly and
/// the device has `local` of them.
double getRoutedShare(int64_t experts, int64_t local, int64_t chosen);

} // namespace mpopt::coll

#endif // MPOPT_DIALECT_COLL_COLL_H
