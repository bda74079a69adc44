// Any bytes as an ONNX file: refused with a diagnostic, or imported, simplified, planned over two devices and partitioned.
#include "Input.h"
#include "ModelMutator.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"
#include "mpopt/Import/ONNX.h"
#include "mpopt/Partition/Passes.h"
#include "mpopt/Planning/Planning.h"

using namespace mlir;
using namespace mpopt;
using hostile::expect;

static LogicalResult run(ModuleOp module, llvm::function_ref<void(OpPassManager &)> build) {
  PassManager manager(module.getContext());
  build(manager);
  return manager.run(module);
}

/// A module that came in whole must come through the stages that refuse nothing.
static void compile(ModuleOp module) {
  static const machine::Machine machine = *machine::load("test-host");
  expect(succeeded(run(module, nn::buildSimplifyPipeline)), "what was imported can be simplified");
  planning::PlanOptions options;
  options.machine = &machine;
  options.devices = 2;
  planning::PlanReport report;
  if (succeeded(planning::planModule(module, options, report)))
    expect(succeeded(run(module, [](OpPassManager &manager) { partition::buildPartitionPipeline(manager); })),
           "what was planned can be partitioned");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hostile::MemoryFile file(data, size);
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<func::FuncDialect, nn::NNDialect, shd::ShdDialect, coll::CollDialect>();
  std::string told;
  context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
    told = diagnostic.str();
    return success();
  });
  // One binding of each kind, so that both are read.
  auto module = importOnnx(context, file.path(), {{"N=2"}});
  if (succeeded(module) || llvm::StringRef(told).contains("--dim N=2"))
    module = succeeded(module) ? std::move(module) : importOnnx(context, file.path(), {});
  if (failed(module)) {
    expect(!told.empty(), "a refusal says why");
    return 0;
  }
  compile(**module);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

/// Half of all changes are made to the bytes, half to the messages that they hold.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  if (seed % 4 == 0)
    return LLVMFuzzerMutate(data, size, maxSize);
  return hostile::mutateModel(data, size, maxSize, seed);
}
