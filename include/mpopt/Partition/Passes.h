#ifndef MPOPT_PARTITION_PASSES_H
#define MPOPT_PARTITION_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace mpopt::partition {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "mpopt/Partition/Passes.h.inc"

/// What runs between planning and scheduling: shardings are checked, operations go over to local shapes, collectives that say
/// the same become one. Expects nn + shd on global shapes, leaves nn + coll on local shapes.
void buildPartitionPipeline(mlir::OpPassManager &manager);

/// Registers the passes above and the pipeline, `partition`.
void registerPartition();

} // namespace mpopt::partition

#endif // MPOPT_PARTITION_PASSES_H
