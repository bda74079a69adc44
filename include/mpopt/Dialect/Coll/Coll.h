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

/// What one device gives another: a box of `size` elements, at `source` in its part of a value and at `target` in the other's.
struct Piece {
  int64_t from = 0, to = 0;
  llvm::SmallVector<int64_t> source, target, size;
};

/// A value on all devices of one mesh, without partial sums.
struct Spread {
  shd::ShardingAttr sharding;
  shd::MeshAttr mesh;
};

/// The part of a value of type `global` that a device holds, without padding: where it starts, and its size.
std::pair<llvm::SmallVector<int64_t>, llvm::SmallVector<int64_t>> getBox(mlir::RankedTensorType global, Spread spread,
                                                                         int64_t device);

/// How a value gets from one mesh to another: every element that a device of `to` holds comes from exactly one device of `from`, and devices
/// that hold the same share the work. At most one piece between two devices; by receiver.
llvm::SmallVector<Piece> getPieces(mlir::RankedTensorType global, Spread from, Spread to);

} // namespace mpopt::coll

#endif // MPOPT_DIALECT_COLL_COLL_H
