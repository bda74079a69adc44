#ifndef MPOPT_DIALECT_SHD_STAGES_H
#define MPOPT_DIALECT_SHD_STAGES_H

#include "mlir/IR/BuiltinOps.h"

namespace mpopt::shd {

/// Names of the attributes of a pipeline: on an operation its stage and its microbatch; on a module the numbers of stages and of microbatches;
/// on an argument or result of a function the dimension that microbatches split, which of them it belongs to, and its place among those of the model.
/// `shd.stage_devices` on a module: the devices of each stage, where they differ.
inline constexpr llvm::StringLiteral kStageAttr = "shd.stage", kStagesAttr = "shd.stages",
                                     kStageDevicesAttr = "shd.stage_devices", kMicrobatchesAttr = "shd.microbatches",
                                     kMicrobatchAttr = "shd.microbatch", kBatchDimAttr = "shd.batch_dim",
                                     kPartAttr = "shd.part", kPositionAttr = "shd.position";

/// Numbers of pipeline stages, each of which has a mesh of its own, and of microbatches that a step is split into.
int64_t getStages(mlir::ModuleOp module);
int64_t getMicrobatches(mlir::ModuleOp module);

} // namespace mpopt::shd

#endif // MPOPT_DIALECT_SHD_STAGES_H
