#ifndef MPOPT_PARTITION_PASSES_H
#define MPOPT_PARTITION_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Dialect/Shd/Reshard.h"
#include <functional>

namespace mpopt::partition {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "mpopt/Partition/Passes.h.inc"

/// Price of a reshard step over a mesh: shd::ReshardPrice for keeps.
using StepPrice =
    std::function<double(const shd::ReshardStep &step, double bytesIn, double bytesOut, shd::MeshAttr mesh)>;

/// mpopt-partition-module with prices by which ways from sharding to sharding are chosen; shd::defaultReshardPrice where empty.
std::unique_ptr<mlir::Pass> createPartitionModule(StepPrice price);

/// What runs between planning and scheduling: shardings are checked, operations go over to local shapes, collectives that say
/// the same become one, stages become functions. Expects nn + shd on global shapes, leaves nn + coll on local shapes.
void buildPartitionPipeline(mlir::OpPassManager &manager, const StepPrice &price = {});

/// Registers the passes above and the pipeline, `partition`.
void registerPartition();

} // namespace mpopt::partition

#endif // MPOPT_PARTITION_PASSES_H
