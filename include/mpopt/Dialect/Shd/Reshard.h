#ifndef MPOPT_DIALECT_SHD_RESHARD_H
#define MPOPT_DIALECT_SHD_RESHARD_H

#include "mpopt/Dialect/Shd/Shd.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace mpopt::shd {

/// One step from a sharding to another. Every step is one `coll` operation.
struct ReshardStep {
  enum Kind {
    Slice,         // split `dim` further over `axes`; no communication
    KeepFirst,     // make a replicated value partial over `axes`; no communication
    AllGather,     // join `dim` over its minor `axes`
    AllReduce,     // end partiality over `axes`
    ReduceScatter, // end partiality over `axes` and split `dim` over them
    AllToAll,      // join `dim` over `axes`, split `toDim` over them
    Permute        // same split sizes, devices in another order: device i of the group over `axes` gets sources[i]
  } kind;
  int64_t dim = 0, toDim = 0;
  llvm::SmallVector<mlir::StringAttr> axes;
  llvm::SmallVector<int64_t> sources;
  ShardingAttr after;
};

/// Price of a step on one device, not negative, in any unit that adds up, from the sizes of the local values that go in and come out.
/// `step.after` is null and `step.sources` empty while steps are priced.
using ReshardPrice = llvm::function_ref<double(const ReshardStep &step, double bytesIn, double bytesOut)>;

/// The cheapest sequence of steps between two shardings of a value of `type`, found by shortest paths over intermediate shardings.
/// Empty when from and to say the same. Fails only where `to` is partial over axes over which `from` is sharded and no step leads there,
/// or the kinds of reduction differ. Deterministic.
llvm::FailureOr<llvm::SmallVector<ReshardStep>>
findReshard(ShardingAttr from, ShardingAttr to, mlir::RankedTensorType type, MeshAttr mesh, ReshardPrice price);

/// A price that needs no machine: bytes received by a device, plus a small amount per step.
double defaultReshardPrice(const ReshardStep &step, double bytesIn, double bytesOut, MeshAttr mesh);

} // namespace mpopt::shd

#endif // MPOPT_DIALECT_SHD_RESHARD_H
