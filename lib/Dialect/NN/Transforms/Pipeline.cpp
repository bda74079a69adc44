// The order of the passes between import and planning.
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"

using namespace mlir;

void mpopt::nn::buildSimplifyPipeline(OpPassManager &manager) {
  OpPassManager &function = manager.nest<func::FuncOp>();
  // Equal constants and weights become one value, which the recognisers compare.
  function.addPass(createCSEPass());
  function.addPass(createSimplifyShapes());
  function.addPass(createRecognizeNorms());
  function.addPass(createRecognizeActivations());
  function.addPass(createRecognizeRotary());
  function.addPass(createRecognizeAttention());
  function.addPass(createFoldIntoConvs());
  function.addPass(createSinkReshapes());
  function.addPass(createRecognizeExperts());
  function.addPass(createSplitProducts());
  // Masks have become operands of attention: their broadcasts can go.
  function.addPass(createSimplifyShapes());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
}

void mpopt::nn::registerNNTransforms() {
  registerNNPasses();
  PassPipelineRegistration<>("nn-simplify", "What runs between import and planning", buildSimplifyPipeline);
}
