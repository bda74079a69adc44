//===- Compile.cpp - The way from a model to a plan -----------------------===//
//
// The whole order of the compiler, in one place. Each phase leaves IR that can be printed (`--emit`) and run through mpopt-opt.
//
//   import       ONNX -> nn on global shapes, constants folded, weights as handles
//   simplify     attention, norms and activations recognised, batch norm folded into convolutions
//   plan         adds the mesh and a sharding to every value; changes no operation
//   partition    nn + shd -> nn + coll on local shapes, one function per pipeline stage: the only place where shapes change, but for
//                the batch, which is split into microbatches before planning
//   schedule     kernels formed, microbatches put one after the other, values become buffers, instructions listed: nn + coll -> rt
//   codegen      kernels -> one ELF
//   emit         rt + ELF -> plan file, and weights file by running the init instructions
//
//===----------------------------------------------------------------------===//

#include "mpopt/Pipelines/Compile.h"
#include "Account.h"
#include "Annotations.h"
#include "Details.h"
#include "FailLoudly.h"
#include "PlanPipeline.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Emit/Emit.h"
#include "mpopt/Import/ONNX.h"
#include "mpopt/Partition/Passes.h"
#include "mpopt/Schedule/Passes.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace mpopt {
namespace {

std::string textOf(llvm::json::Object account) {
  return llvm::formatv("{0:2}", llvm::json::Value(std::move(account))).str();
}

class Compilation {
public:
  Compilation(MLIRContext &context, const CompileOptions &options) : context(context), options(options) {}

  /// Fails with a message, always.
  LogicalResult run(CompileResult &result) {
    return failLoudly(context, phase, [&] { return runPhases(result); });
  }

private:
  LogicalResult runPhases(CompileResult &result) {
    begin("importing");
    auto imported = importOnnx(context, options.model, ImportOptions{options.dims});
    if (failed(imported))
      return failure();
    result.module = std::move(*imported);
    ModuleOp module = *result.module;

    begin("simplifying");
    if (failed(pipeline(module, nn::buildSimplifyPipeline)))
      return failure();
    if (options.until == Stage::NN)
      return success();

    begin("planning");
    planning::PlanOptions planOptions = options.plan;
    if (!options.ignoreAnnotations && !options.plan.fixed && failed(readPins(module, planOptions)))
      return failure();
    std::vector<PipelineCandidate> tried;
    if (failed(plan(result, planOptions, tried)))
      return failure();
    module = *result.module;
    if (options.annotate && failed(annotate(module, result)))
      return failure();
    if (options.until == Stage::Planned)
      return success();
    llvm::json::Object account = startAccount(module, options, result.report), details;
    addCandidates(account, tried);
    if (options.details)
      addTensors(details, module, options);

    begin("partitioning");
    if (failed(pipeline(module, [&](OpPassManager &pm) {
          partition::buildPartitionPipeline(pm, planning::makeStepPrice(options.plan));
        })))
      return failure();
    if (options.until == Stage::Partitioned)
      return success();

    begin("scheduling");
    if (failed(pipeline(module, [&](OpPassManager &pm) {
          pm.addPass(schedule::createLowerPlaces());
          pm.addPass(createCSEPass()); // one coll.index and one mask where several would do
          pm.addPass(codegen::createFormKernelsPass(options.target));
          pm.addPass(schedule::createUnrollMicrobatches());
          pm.addPass(schedule::createBuildProgram({streams(module)}));
        })))
      return failure();
    addProgram(account, module, result.report);
    if (options.details)
      addStep(details, module, options, result.report);
    std::string stored = textOf(account);
    for (auto &[key, value] : details)
      account[key] = std::move(value);
    result.account = options.details ? textOf(std::move(account)) : stored;
    if (options.until == Stage::RT)
      return success();

    begin("generating code");
    auto elf = codegen::compileKernels(module, options.target);
    if (failed(elf))
      return failure();

    begin("writing weights");
    emit::EmitOptions emitOptions{options.output,
                                  llvm::sys::path::parent_path(options.model).str(),
                                  llvm::sys::path::filename(options.model).str(),
                                  options.target.cpu,
                                  options.plan.machine->name,
                                  streams(module)};
    return emit::emitPlan(module, *elf, stored, emitOptions);
  }

  /// Plans `result.module`, or puts a planned one in its place.
  LogicalResult plan(CompileResult &result, planning::PlanOptions &planOptions, std::vector<PipelineCandidate> &tried) {
    if (choosesPipeline(planOptions)) {
      if (auto chosen = choosePipeline(*result.module, planOptions, tried)) {
        planOptions.strategy = options.plan.strategy = chosen->strategy;
        result.module = std::move(chosen->module);
        result.report = std::move(chosen->report);
        return success();
      }
    }
    LogicalResult planned = planPipeline(*result.module, planOptions, result.report);
    options.plan.strategy = planOptions.strategy;
    return planned;
  }

  /// Whether steps follow each other without a pause.
  bool streams(ModuleOp module) const { return options.plan.objective == "throughput" && shd::getStages(module) > 1; }

  /// The model's own annotations as pins.
  LogicalResult readPins(ModuleOp module, planning::PlanOptions &plan) {
    auto pins = annotationPins(options.model, plan);
    if (!pins)
      return module.emitError() << pins.error().message << "; --ignore-annotations plans without them";
    if (!pins->warning.empty())
      module.emitWarning() << pins->warning;
    plan.nodePins = std::move(pins->pins);
    plan.stagePins = std::move(pins->stages);
    if (pins->strategy)
      plan.strategy = options.plan.strategy = pins->strategy;
    return success();
  }

  LogicalResult annotate(ModuleOp module, CompileResult &result) {
    auto annotations = makeAnnotations(module, options.model);
    if (!annotations)
      return module.emitError() << annotations.error().message;
    result.annotations = std::move(*annotations);
    return success();
  }

  void begin(StringRef name) {
    phase = name;
    if (options.progress)
      options.progress(name);
  }

  LogicalResult pipeline(ModuleOp module, function_ref<void(OpPassManager &)> build) {
    PassManager manager(&context);
    build(manager);
    return manager.run(module);
  }

  MLIRContext &context;
  CompileOptions options;
  std::string phase;
};

} // namespace

LogicalResult compile(MLIRContext &context, const CompileOptions &options, CompileResult &result) {
  context.loadAllAvailableDialects();
  return Compilation(context, options).run(result);
}

FailureOr<CompileResult> compile(MLIRContext &context, const CompileOptions &options) {
  CompileResult result;
  if (failed(compile(context, options, result)))
    return failure();
  return result;
}

} // namespace mpopt
