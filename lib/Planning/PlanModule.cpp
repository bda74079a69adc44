//===- PlanModule.cpp - From an nn module to its shardings ----------------===//
//
// Lays out the mesh, turns @main into a search problem (Model), solves it and writes the answer down as attributes.
//
//===----------------------------------------------------------------------===//

#include "Explain.h"
#include "Fix.h"
#include "Model.h"
#include "Report.h"
#include "Stages.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Planning/Passes.h"
#include "mpopt/Planning/Planning.h"
#include "mpopt/Search/Solver.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;

namespace mpopt::planning {

#define GEN_PASS_DEF_PLANMODULE
#include "mpopt/Planning/Passes.h.inc"

namespace {

void removePlan(ModuleOp module, func::FuncOp main) {
  if (shd::MeshOp mesh = shd::getMesh(main))
    mesh.erase();
  auto name = StringAttr::get(module.getContext(), shd::kShardingAttr);
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    main.removeArgAttr(i, name);
  for (unsigned i = 0; i < main.getNumResults(); ++i)
    main.removeResultAttr(i, name);
  main.walk([](Operation *op) {
    op->removeAttr(shd::kInAttr);
    op->removeAttr(shd::kOutAttr);
    op->removeAttr(shd::kStageAttr);
  });
  module->removeAttr(shd::kStagesAttr);
}

ArrayAttr arrayOf(MLIRContext *context, ArrayRef<shd::ShardingAttr> shardings) {
  return ArrayAttr::get(context, SmallVector<Attribute>(shardings.begin(), shardings.end()));
}

void setShardings(Operation *op, ArrayRef<shd::ShardingAttr> in, ArrayRef<shd::ShardingAttr> out) {
  op->setAttr(shd::kInAttr, arrayOf(op->getContext(), in));
  op->setAttr(shd::kOutAttr, arrayOf(op->getContext(), out));
}

shd::ShardingAttr replicated(Value value, const PlanMesh &mesh) {
  return shd::ShardingAttr::replicated(mesh.symbol, cast<RankedTensorType>(value.getType()).getRank());
}

/// Init-time values are whole on every device until they are used.
void replicate(func::FuncOp main, const PlanMesh &mesh) {
  auto all = [&](ValueRange values) {
    return llvm::map_to_vector(values, [&](Value value) { return replicated(value, mesh); });
  };
  Block &body = main.getBody().front();
  for (Operation &op : body.without_terminator())
    setShardings(&op, all(op.getOperands()), all(op.getResults()));
  for (auto [index, value] : llvm::enumerate(body.getTerminator()->getOperands()))
    main.setResultAttr(index, shd::kShardingAttr, replicated(value, mesh));
}

void writePlan(ModuleOp module, func::FuncOp main, const PlanMesh &mesh, const Model &model, ArrayRef<int32_t> choice,
               const Prices &prices) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  shd::MeshOp::create(builder, module.getLoc(), mesh.symbol.getValue(), mesh.attr);
  replicate(main, mesh);
  for (auto [decision, number] : llvm::zip_equal(model.decisions, choice)) {
    const Option &option = (*decision.options)[number];
    if (decision.kind == Decision::Argument)
      main.setArgAttr(cast<BlockArgument>(decision.value).getArgNumber(), shd::kShardingAttr,
                      prices.sharding(option.out[0]));
    if (decision.kind == Decision::Operator)
      setShardings(decision.op, prices.all(option.in), prices.all(option.out));
    if (decision.kind == Decision::Result)
      main.setResultAttr(decision.result, shd::kShardingAttr, prices.sharding(option.in[0]));
  }
}

/// Most bytes that any choice could need; when the limit allows that, memory is no constraint.
int64_t mostUsage(const search::Problem &problem) {
  int64_t sum = 0;
  for (const search::Node &node : problem.nodes)
    for (const search::UsageComponent &usage : node.usages)
      sum += *std::max_element(usage.usages.begin(), usage.usages.end());
  return sum;
}

Result<search::Solution> solveWithin(search::Problem &problem, int64_t limit) {
  problem.usageLimit = mostUsage(problem) > limit ? std::optional(limit) : std::nullopt;
  Result<search::Solution> solution = search::solve(problem);
  if (!solution)
    return solution;
  if (Result<double> cost = search::verify(problem, *solution); !cost)
    return error("the solver's answer is wrong: " + cost.error().message);
  return solution;
}

/// Least memory by bisection to about a hundredth, and the fastest plan within it.
Result<search::Solution> solveForMemory(search::Problem &problem, int64_t limit) {
  Result<search::Solution> best = solveWithin(problem, limit);
  for (int64_t below = 0; best && best->peak - below > best->peak / 100 + 1;) {
    int64_t middle = below + (best->peak - below) / 2;
    if (Result<search::Solution> tighter = solveWithin(problem, middle))
      best = std::move(tighter);
    else
      below = middle;
  }
  return best;
}

Result<search::Solution> solve(search::Problem &problem, const PlanOptions &options, int64_t limit) {
  return options.objective == "memory" ? solveForMemory(problem, limit) : solveWithin(problem, limit);
}

int64_t stagesOf(const PlanOptions &options) { return options.strategy ? options.strategy->stages : 1; }

/// Solves for the whole model on the devices of one stage, then cuts it into stages. The memory of all stages together bounds the first; how
/// much of it the largest stage needs shows only after the second, so that less is tried where that was too much.
Result<search::Solution> solveAndCut(func::FuncOp main, Model &model, const PlanMesh &mesh, Prices &prices,
                                     const PlanOptions &options, const machine::Machine &machine, PlanReport &report) {
  int64_t limit = options.memoryLimit.value_or(machine.device().memoryBytes), stages = stagesOf(options);
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
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main || !main.getBody().hasOneBlock())
    return module.emitError() << "has no function @main of one block to plan";
  if (failed(checkOptions(module, options)))
    return failure();
  Result<PlanMesh> mesh = makePlanMesh(module.getContext(), options);
  if (!mesh)
    return module.emitError() << mesh.error().message;
  Result<PinBoard> pins = PinBoard::make(options.pins, options.nodePins, *mesh);
  if (!pins)
    return module.emitError() << pins.error().message;

  removePlan(module, main);
  machine::Machine machine = machine::forDevices(*options.machine, options.devices);
  Prices prices(machine, *mesh);
  Model model(main, *mesh, prices, *pins);
  if (failed(model.build()))
    return failure();
  if (Status found = pins->checkAllFound(); !found)
    return module.emitError() << found.error().message;
  if (std::string ignored = pins->ignoredText(); !ignored.empty())
    module.emitWarning() << ignored;
  if (Status fixed = fixPlan(model, *mesh, prices, options.fixed); !fixed)
    return module.emitError() << fixed.error().message;
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
makeStepPrice(MLIRContext *context, const PlanOptions &options) {
  struct Kept {
    machine::Machine machine;
    PlanMesh mesh;
    Prices prices{machine, mesh};
  };
  Result<PlanMesh> mesh = makePlanMesh(context, options);
  if (!mesh)
    return {};
  auto kept = std::make_shared<Kept>(machine::forDevices(*options.machine, options.devices), *mesh);
  return [kept](const shd::ReshardStep &step, double in, double out, shd::MeshAttr) {
    return kept->prices.step(step, in, out);
  };
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
