//===- PlanModule.cpp - From an nn module to its shardings ----------------===//
//
// Lays out the mesh, turns @main into a search problem (Model), solves it and writes the answer down as attributes.
//
//===----------------------------------------------------------------------===//

#include "Explain.h"
#include "Fix.h"
#include "Model.h"
#include "Report.h"
#include "Solve.h"
#include "StagePlans.h"
#include "Stages.h"
#include "WritePlan.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Planning/Passes.h"
#include "mpopt/Planning/Planning.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;

namespace mpopt::planning {

#define GEN_PASS_DEF_PLANMODULE
#include "mpopt/Planning/Passes.h.inc"

namespace {

int64_t stagesOf(const PlanOptions &options) { return options.strategy ? options.strategy->stages : 1; }

/// Solves for the whole model on the devices of one stage, then cuts it into stages. The memory of all stages together bounds the first; how
/// much of it the largest stage needs shows only after the second, so that less is tried where that was too much.
Result<search::Solution> solveAndCut(func::FuncOp main, Model &model, const PlanMesh &mesh, Prices &prices,
                                     const PlanOptions &options, const machine::Machine &machine, PlanReport &report) {
  int64_t limit = memoryLimit(options, machine), stages = stagesOf(options);
  Result<search::Solution> solution = solve(model.problem, options, limit * stages);
  if (stages == 1) {
    if (solution)
      report = makeReport(model, *solution, mesh, prices);
    return solution;
  }
  Status cut;
  for (double share : {1.0, 0.75, 0.5, 0.25}) {
    if (share < 1)
      solution = solve(model.problem, options, static_cast<int64_t>(static_cast<double>(limit * stages) * share));
    if (!solution)
      return cut ? solution : tl::make_unexpected(cut.error());
    report = makeReport(model, *solution, mesh, prices);
    cut = assignStages(main, model, *solution, prices, machine, options, limit, report);
    if (cut)
      return solution;
  }
  return tl::make_unexpected(cut.error());
}

/// Goes from the time of one pass of a microbatch to that of a step: each stage takes the microbatches in order, each as soon as the stage
/// before has done with it.
void addMicrobatches(const PlanOptions &options, PlanReport &report) {
  report.microbatches = options.strategy ? options.strategy->microbatches : 1;
  report.passSeconds = report.predictedSeconds;
  double slowest = report.predictedSeconds, bound = report.lowerBoundSeconds;
  if (!report.stages.empty()) {
    report.passSeconds = slowest = 0;
    for (const StageReport &stage : report.stages) {
      report.passSeconds += stage.seconds();
      slowest = std::max(slowest, stage.seconds());
    }
  }
  auto count = static_cast<double>(report.microbatches), stages = static_cast<double>(stagesOf(options));
  bool streams = options.objective == "throughput";
  report.predictedSeconds = streams ? count * slowest : report.passSeconds + (count - 1) * slowest;
  report.lowerBoundSeconds =
      std::min(report.predictedSeconds, streams ? count * bound / stages : bound + (count - 1) * bound / stages);
}

LogicalResult checkOptions(ModuleOp module, const PlanOptions &options) {
  if (options.objective != "latency" && options.objective != "throughput" && options.objective != "memory")
    return module.emitError() << "objective '" << options.objective << "' is none of latency, throughput and memory";
  if (options.memoryLimit && *options.memoryLimit < 1)
    return module.emitError() << "a memory limit of " << *options.memoryLimit << " bytes leaves room for nothing";
  return success();
}

} // namespace

LogicalResult planModule(ModuleOp module, const PlanOptions &options, PlanReport &report) {
  SmallVector<func::FuncOp> functions = getPlannedFunctions(module);
  if (functions.empty() || !llvm::all_of(functions, [](func::FuncOp main) { return main.getBody().hasOneBlock(); }))
    return module.emitError() << "has no function @main of one block to plan";
  if (failed(checkOptions(module, options)))
    return failure();
  func::FuncOp main = functions.front();
  if (main->hasAttr(shd::kStageAttr)) {
    if (failed(planStages(module, functions, options, report)))
      return failure();
    addMicrobatches(options, report);
    return success();
  }
  Result<PlanMesh> mesh = makePlanMesh(module.getContext(), options);
  if (!mesh)
    return module.emitError() << mesh.error().message;
  Result<PinBoard> pins = PinBoard::make(options.pins, options.nodePins, *mesh);
  if (!pins)
    return module.emitError() << pins.error().message;

  removePlan(module, main);
  machine::Machine machine = machine::forDevices(*options.machine, options.devices);
  Prices prices(machine, *mesh, weightBytesOf(main));
  Model model(main, *mesh, prices, *pins);
  if (failed(model.build()))
    return failure();
  if (Status found = pins->checkAllFound(); !found)
    return module.emitError() << found.error().message;
  if (std::string ignored = pins->ignoredText(); !ignored.empty())
    module.emitWarning() << ignored;
  if (options.fixed) {
    FixedPlace place;
    Status fixed = checkFixedMesh(*options.fixed, meshText(mesh->attr));
    if (fixed)
      fixed = fixPlan(model, prices, *options.fixed, place);
    if (fixed)
      fixed = checkAllFixed(*options.fixed, place);
    if (!fixed)
      return module.emitError() << fixed.error().message;
  }
  Result<search::Solution> solution = solveAndCut(main, model, *mesh, prices, options, machine, report);
  if (!solution && report.ops.empty())
    report.lacksMemory = model.problem.usageLimit.has_value();
  if (!solution)
    return module.emitError() << "no plan for " << options.devices << " devices of '" << machine.name
                              << "': " << solution.error().message;
  writePlan(module, main, *mesh, model, solution->choice, prices);
  addMicrobatches(options, report);
  if (options.objective == "memory") // alternatives must do with as little
    model.problem.usageLimit = solution->peak;
  if (options.explain)
    report.blocks = explainPlan(model, *solution, Layouts(main, *mesh, prices), report.ops);
  return success();
}

std::function<double(const shd::ReshardStep &, double, double, shd::MeshAttr)>
makeStepPrice(const PlanOptions &options) {
  struct Priced {
    PlanMesh mesh;
    Prices prices;
    Priced(const machine::Machine &machine, shd::MeshAttr attr) : mesh(planMeshOf(attr)), prices(machine, mesh, 0) {}
  };
  struct Kept {
    machine::Machine machine;
    llvm::DenseMap<shd::MeshAttr, std::unique_ptr<Priced>> meshes; // looked up only
  };
  auto kept = std::make_shared<Kept>();
  kept->machine = machine::forDevices(*options.machine, options.devices);
  return [kept](const shd::ReshardStep &step, double in, double out, shd::MeshAttr mesh) {
    std::unique_ptr<Priced> &priced = kept->meshes[mesh];
    if (!priced)
      priced = std::make_unique<Priced>(kept->machine, mesh);
    return priced->prices.step(step, in, out);
  };
}

SmallVector<func::FuncOp> getPlannedFunctions(ModuleOp planned) {
  if (auto main = planned.lookupSymbol<func::FuncOp>("main"))
    return {main};
  return llvm::filter_to_vector(planned.getOps<func::FuncOp>(),
                                [](func::FuncOp function) { return function->hasAttr(shd::kStageAttr); });
}

namespace {

struct PlanModulePass : impl::PlanModuleBase<PlanModulePass> {
  using PlanModuleBase::PlanModuleBase;

  void runOnOperation() override {
    Result<PlanOptions> options = readOptions();
    if (!options) {
      getOperation().emitError() << options.error().message;
      return signalPassFailure();
    }
    PlanReport report;
    if (failed(planModule(getOperation(), *options, report)))
      return signalPassFailure();
    if (explain)
      llvm::errs() << formatReport(report);
  }

private:
  Result<PlanOptions> readOptions() {
    Result<machine::Machine> loaded = machine::load(machine);
    if (!loaded)
      return tl::make_unexpected(loaded.error());
    loadedMachine = std::move(*loaded);
    PlanOptions options;
    options.machine = &loadedMachine;
    options.devices = devices;
    options.objective = objective;
    if (memoryLimit != 0)
      options.memoryLimit = memoryLimit;
    if (!strategy.empty()) {
      Result<Strategy> parsed = parseStrategy(strategy);
      if (!parsed)
        return tl::make_unexpected(parsed.error());
      options.strategy = *parsed;
    }
    if (pin.empty())
      return options;
    auto buffer = llvm::MemoryBuffer::getFile(pin, /*IsText=*/true);
    if (!buffer)
      return error("cannot read the pin file '" + pin + "': " + buffer.getError().message());
    Result<std::vector<Pin>> parsed = parsePins((*buffer)->getBuffer().str(), pin);
    if (!parsed)
      return tl::make_unexpected(parsed.error());
    options.pins = std::move(*parsed);
    return options;
  }

  machine::Machine loadedMachine;
};

} // namespace
} // namespace mpopt::planning
