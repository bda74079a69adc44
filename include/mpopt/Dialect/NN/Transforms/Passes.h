#ifndef MPOPT_DIALECT_NN_TRANSFORMS_PASSES_H
#define MPOPT_DIALECT_NN_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace mpopt::nn {

#define GEN_PASS_DECL
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "mpopt/Dialect/NN/Transforms/Passes.h.inc"

/// What runs between import and planning: the forms in which exporters decompose operators are recognised, batch norms go
/// into convolutions, and what is then left over goes. Expects and leaves nn on global shapes.
void buildSimplifyPipeline(mlir::OpPassManager &manager);

/// Registers the passes above and the pipeline, `nn-simplify`.
void registerNNTransforms();

} // namespace mpopt::nn

#endif // MPOPT_DIALECT_NN_TRANSFORMS_PASSES_H
