#include "StagePlans.h"
#include "Explain.h"
#include "Fix.h"
#include "Model.h"
#include "Report.h"
#include "Solve.h"
#include "Transfer.h"
#include "WritePlan.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/Shd/Stages.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

class StagePlanner {
public:
  StagePlanner(ModuleOp module, ArrayRef<func::FuncOp> functions, const PlanOptions &options, PlanReport &report)
      : module(module), functions(functions), options(options), report(report) {}

  LogicalResult run() {
    auto devices = module->getAttrOfType<DenseI64ArrayAttr>(shd::kStageDevicesAttr);
    if (!devices || devices.size() != static_cast<int64_t>(functions.size()))
      return module.emitError() << "needs " << shd::kStageDevicesAttr << ", the devices of each of its "
                                << functions.size() << " stages";
    sizes = devices.asArrayRef();
    if (!findMachines())
      return module.emitError() << "machine '" << options.machine->name << "' has no group of devices for each stage";
    if (!options.nodePins.empty() || !options.pins.empty())
      return module.emitError()
             << "pins and annotations speak of one mesh, and stages of different sizes have one each; "
                "leave them out (--ignore-annotations), or choose a pp that divides the devices";
    if (options.strategy && options.strategy->hasRoles)
      return module.emitError() << "strategy '" << options.strategy->text()
                                << "': the planner lays out stages of different sizes; leave dp, tp, sp and ep out, or "
                                   "choose a pp that divides the devices";
    for (shd::MeshOp mesh : llvm::make_early_inc_range(module.getOps<shd::MeshOp>()))
      mesh.erase();
    for (size_t stage = 0; stage < functions.size(); ++stage)
      if (failed(plan(stage)))
        return failure();
    return checkFixed();
  }

private:
  /// The group that each stage lies in, as its ranks see it.
  bool findMachines() {
    size_t group = 0;
    int64_t left = options.machine->groups.front().count;
    for (int64_t devices : sizes) {
      for (; left == 0 && group + 1 < options.machine->groups.size();)
        left = options.machine->groups[++group].count;
      if (left < devices)
        return false;
      left -= devices;
      machines.push_back(machine::forDevices(machine::forGroup(*options.machine, group), options.devices));
    }
    return true;
  }

  LogicalResult checkFixed() {
    if (!options.fixed)
      return success();
    Status status = checkFixedMesh(*options.fixed, meshText(module));
    if (status)
      status = checkAllFixed(*options.fixed, place);
    return status ? success() : LogicalResult(module.emitError() << status.error().message);
  }

  LogicalResult plan(size_t stage) {
    const machine::Machine &machine = machines[stage];
    Transfer transfer(machine, options.devices);
    Result<PlanMesh> mesh = makeStageMesh(module.getContext(), machine, static_cast<int64_t>(stage), sizes[stage]);
    if (!mesh)
      return module.emitError() << mesh.error().message;
    func::FuncOp function = functions[stage];
    function->setAttr(shd::kMeshAttr, mesh->symbol);
    PinBoard pins = std::move(*PinBoard::make({}, {}, *mesh));
    Prices prices(machine, *mesh);
    Model model(function, *mesh, prices, pins);
    // Where fewer send than receive each sends several times as much.
    model.receiveSeconds = [&](Operation *recv, int64_t bytes) {
      int64_t from = sizes[stage - cast<coll::RecvOp>(recv).getDistance()];
      return transfer.passing(bytes) * std::max(1.0, static_cast<double>(sizes[stage]) / static_cast<double>(from));
    };
    if (failed(model.build()))
      return failure();
    if (options.fixed)
      if (Status fixed = fixPlan(model, prices, *options.fixed, place); !fixed)
        return module.emitError() << fixed.error().message;
    int64_t limit = options.memoryLimit.value_or(machine.device().memoryBytes);
    Result<search::Solution> solution = solve(model.problem, options, limit);
    report.lacksMemory = !solution && model.problem.usageLimit.has_value();
    if (!solution)
      return module.emitError() << "no plan for stage " << stage << " on " << sizes[stage] << " device(s) of '"
                                << machine.name << "': " << solution.error().message;
    writePlan(module, function, *mesh, model, solution->choice, prices);
    PlanReport own = makeReport(model, *solution, *mesh, prices);
    if (options.explain) {
      if (options.objective == "memory")
        model.problem.usageLimit = solution->peak;
      own.blocks = explainPlan(model, *solution, Layouts(function, *mesh, prices), own.ops);
    }
    addStage(stage, model, *solution, prices, transfer, std::move(own));
    return success();
  }

  void addStage(size_t number, const Model &model, const search::Solution &solution, const Prices &prices,
                const Transfer &transfer, PlanReport own) {
    StageReport stage;
    stage.devices = sizes[number];
    stage.device = machines[number].device().name;
    stage.operators = static_cast<int64_t>(own.ops.size());
    if (!own.ops.empty()) {
      stage.first = own.ops.front().node;
      stage.last = own.ops.back().node;
    }
    for (const OpReport &op : own.ops) {
      stage.computeSeconds += op.computeSeconds;
      stage.commSeconds += op.commSeconds;
    }
    double received = 0;
    for (auto [decision, choice] : llvm::zip_equal(model.decisions, solution.choice)) {
      const Option &option = (*decision.options)[choice];
      auto bytes = [&](unsigned sharding) {
        return prices.localBytes(sharding, cast<RankedTensorType>(decision.value.getType()));
      };
      if (decision.kind == Decision::Argument && decision.op) {
        stage.receivedBytes += bytes(option.out[0]);
        received += option.commSeconds;
      }
      if (decision.kind == Decision::Result && isa<coll::SendOp>(decision.op))
        stage.sentBytes += bytes(option.in[0]);
    }
    stage.transferSeconds = received + transfer.seconds(stage.receivedBytes) - transfer.passing(stage.receivedBytes);
    // What is left of the total is resharding for other stages and outputs.
    stage.commSeconds += std::max(0.0, own.predictedSeconds - stage.computeSeconds - stage.commSeconds - received);
    stage.weightBytes = own.weightBytes;
    stage.liveBytes = own.memoryBytes - own.weightBytes;
    report.memoryBytes = std::max(report.memoryBytes, own.memoryBytes);
    report.weightBytes = std::max(report.weightBytes, own.weightBytes);
    report.lowerBoundSeconds += std::min(own.lowerBoundSeconds, stage.seconds());
    for (BlockReport &block : own.blocks) {
      block.first += static_cast<int64_t>(report.ops.size());
      report.blocks.push_back(std::move(block));
    }
    llvm::append_range(report.ops, std::move(own.ops));
    report.stages.push_back(std::move(stage));
  }

  ModuleOp module;
  ArrayRef<func::FuncOp> functions;
  const PlanOptions &options;
  PlanReport &report;
  std::vector<machine::Machine> machines; // by stage
  ArrayRef<int64_t> sizes;
  FixedPlace place;
};

} // namespace

LogicalResult planStages(ModuleOp module, ArrayRef<func::FuncOp> functions, const PlanOptions &options,
                         PlanReport &report) {
  report = {};
  return StagePlanner(module, functions, options, report).run();
}

} // namespace mpopt::planning
