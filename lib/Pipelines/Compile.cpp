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
#include "mpopt/Emit/SourceFiles.h"
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
    LaidOut laidOut;
    if (failed(layOut(result, planOptions, laidOut)))
      return failure();
    module = *result.module;
    if (!laidOut.isScheduled)
      return success();
    std::string stored = textOf(laidOut.account);
    for (auto &[key, value] : laidOut.details)
      laidOut.account[key] = std::move(value);
    result.account = options.details ? textOf(std::move(laidOut.account)) : stored;
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

  /// What comes of planning.
  struct LaidOut {
    bool isScheduled = false; ///< Else it went no further than asked for.
    llvm::json::Object account, details;
  };

  /// From planning to scheduling. What padding and gaps between buffers take shows only at the end; where that is too much for the devices all is
  /// done again with less memory to plan with.
  LogicalResult layOut(CompileResult &result, const planning::PlanOptions &planOptions, LaidOut &laidOut) {
    constexpr int kMostTries = 8;
    OwningOpRef<ModuleOp> simplified = result.module->clone();
    const planning::PlanOptions asked = options.plan;
    planning::PlanOptions own = planOptions;
    if (failed(layOutOnce(result, own, laidOut)))
      return failure();
    double filled = laidOut.isScheduled ? shareOfMemory(*result.module) : 0, least = filled;
    // Shares of memory to plan with: the last that there was a plan for, and the most that there was none for.
    double share = 1, none = 0;
    double margin = 0.01;
    for (int tries = 1; filled > 1 && tries < kMostTries; ++tries) {
      ScopedDiagnosticHandler quiet(&context, [](Diagnostic &) { return success(); });
      double next = share / filled * (1 - margin);
      if (next <= none)
        next = (share + none) / 2;
      margin *= 2;
      own = planOptions;
      options.plan = asked;
      own.memoryShare = options.plan.memoryShare = next;
      result.module = simplified->clone();
      laidOut = {};
      if (failed(layOutOnce(result, own, laidOut))) {
        none = next;
        continue;
      }
      share = next;
      filled = shareOfMemory(*result.module);
      least = std::min(least, filled);
    }
    options.plan.memoryShare = 1;
    return filled <= 1 ? success() : tooLarge(result, least);
  }

  LogicalResult layOutOnce(CompileResult &result, planning::PlanOptions &planOptions, LaidOut &laidOut) {
    begin("planning");
    std::vector<PipelineCandidate> tried;
    if (failed(plan(result, planOptions, tried)))
      return failure();
    ModuleOp module = *result.module;
    if (options.annotate && failed(annotate(module, result)))
      return failure();
    if (options.until == Stage::Planned)
      return success();
    laidOut.account = startAccount(module, options, result.report);
    addCandidates(laidOut.account, tried);
    if (options.details)
      addTensors(laidOut.details, module, options);

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
    addProgram(laidOut.account, module, result.report);
    if (options.details)
      addStep(laidOut.details, module, options, result.report);
    laidOut.isScheduled = true;
    return success();
  }

  /// How much of its memory the fullest device needs, 1 being all.
  double shareOfMemory(ModuleOp program) const {
    double most = 0;
    size_t rank = 0;
    SmallVector<emit::DeviceMemory> devices = emit::getDeviceMemory(program);
    for (size_t group = 0; group < options.plan.machine->groups.size(); ++group) {
      machine::Machine own = machine::forDevices(machine::forGroup(*options.plan.machine, group), options.plan.devices);
      auto has = static_cast<double>(options.plan.memoryLimit.value_or(own.device().memoryBytes));
      for (int64_t i = 0; i < options.plan.machine->groups[group].count && rank < devices.size(); ++i, ++rank)
        most = std::max(most, static_cast<double>(devices[rank].work + devices[rank].weights) / has);
    }
    return most;
  }

  LogicalResult tooLarge(CompileResult &result, double filled) {
    result.report.lacksMemory = true;
    return emitError(UnknownLoc::get(&context))
           << "no plan for " << options.plan.devices << " device(s) of '" << options.plan.machine->name
           << "' fits into memory: the best, with padded weights and gaps between buffers, takes "
           << llvm::formatv("{0:P1}", filled).str() << " of a device's; use more devices or a device with more memory";
  }

  /// Plans `result.module`, or puts a planned one in its place.
  LogicalResult plan(CompileResult &result, planning::PlanOptions &planOptions, std::vector<PipelineCandidate> &tried) {
    if (choosesPipeline(planOptions)) {
      if (auto chosen = choosePipeline(*result.module, planOptions, weightReader(), tried)) {
        planOptions.strategy = options.plan.strategy = chosen->strategy;
        result.module = std::move(chosen->module);
        result.report = std::move(chosen->report);
        return success();
      }
    }
    LogicalResult planned = planPipeline(*result.module, planOptions, weightReader(), result.report);
    options.plan.strategy = planOptions.strategy;
    return planned;
  }

  /// Quiet: who needs a weight that is not there says so.
  partition::WeightReader weightReader() {
    return [this](nn::ExternalAttr source) -> const char * {
      ScopedDiagnosticHandler quiet(&context, [](Diagnostic &) { return success(); });
      FailureOr<const char *> bytes = sources.map(source, UnknownLoc::get(&context));
      return succeeded(bytes) ? *bytes : nullptr;
    };
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
  emit::SourceFiles sources{llvm::sys::path::parent_path(options.model).str()};
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
