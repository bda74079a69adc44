#ifndef MPOPT_PARTITION_PASSES_H
#define MPOPT_PARTITION_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Dialect/NN/NN.h"
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

/// The bytes of a weight; null where they cannot be had. For keeps.
using WeightReader = std::function<const char *(nn::ExternalAttr source)>;

/// mpopt-split-microbatches for models with weights that have a row for each of the batch: all rows must be alike, which `read` shows; without it such
/// models are refused.
std::unique_ptr<mlir::Pass> createSplitMicrobatches(int64_t count, WeightReader read);

/// What runs between planning and scheduling: shardings are checked, operations go over to local shapes, collectives that say
/// the same become one, stages become functions. Expects nn + shd on global shapes, leaves nn + coll on local shapes.
void buildPartitionPipeline(mlir::OpPassManager &manager, const StepPrice &price = {});

/// Registers the passes above and the pipeline, `partition`.
void registerPartition();

} // namespace mpopt::partition

#endif // MPOPT_PARTITION_PASSES_H
