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
    if (options.strategy && options.strategy->hasRoles &&
        options.strategy->stages != static_cast<int64_t>(sizes.size()))
      return module.emitError() << "has " << sizes.size() << " stages, and strategy '" << options.strategy->text()
                                << "' has roles for " << options.strategy->stages;
    auto found = machinesOfStages(*options.machine, options.devices, sizes);
    if (!found)
      return module.emitError() << "machine '" << options.machine->name << "' has no group of devices for each stage";
    machines = std::move(*found);
    if (Status made = makeMeshes(); !made)
      return module.emitError() << made.error().message;
    Result<PinBoard> board = PinBoard::make(options.pins, options.nodePins, meshes);
    if (!board)
      return module.emitError() << board.error().message;
    pins = std::move(*board);
    findBatch();
    for (func::FuncOp function : functions)
      weightBytes += weightBytesOf(function);
    for (shd::MeshOp mesh : llvm::make_early_inc_range(module.getOps<shd::MeshOp>()))
      mesh.erase();
    for (size_t stage = 0; stage < functions.size(); ++stage)
      if (failed(plan(stage)))
        return failure();
    if (Status all = pins.checkAllFound(); !all)
      return module.emitError() << all.error().message;
    if (std::string ignored = pins.ignoredText(); !ignored.empty())
      module.emitWarning() << ignored;
    return checkFixed();
  }

private:
  Status makeMeshes() {
    for (size_t stage = 0; stage < functions.size(); ++stage) {
      Result<PlanMesh> mesh = makeStageMesh(module.getContext(), machines[stage], static_cast<int64_t>(stage),
                                            sizes[stage], rolesOfStage(options.strategy, stage));
      if (!mesh)
        return tl::make_unexpected(mesh.error());
      meshes.push_back(std::move(*mesh));
    }
    return {};
  }

  /// The first dimension of the model's first input that has one.
  void findBatch() {
    std::optional<int64_t> first;
    for (func::FuncOp function : functions)
      for (BlockArgument argument : function.getArguments()) {
        auto type = cast<RankedTensorType>(argument.getType());
        auto position = function.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), shd::kPositionAttr);
        if (type.getRank() == 0 || !position || (first && *first <= position.getInt()))
          continue;
        first = position.getInt();
        batch = type.getDimSize(0);
      }
  }

  StageView viewOf(size_t stage, const Transfer &transfer) {
    StageView view;
    view.number = static_cast<int64_t>(stage);
    // Where fewer send than receive each sends several times as much.
    view.receiveSeconds = [this, stage, &transfer](Operation *recv, int64_t bytes) {
      int64_t from = sizes[stage - cast<coll::RecvOp>(recv).getDistance()];
      return transfer.passing(bytes) * std::max(1.0, static_cast<double>(sizes[stage]) / static_cast<double>(from));
    };
    view.inputs.batch = batch;
    view.inputs.received = [this](Operation *recv) { return sent.lookup(cast<coll::RecvOp>(recv).getTag()); };
    return view;
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
    const PlanMesh &mesh = meshes[stage];
    func::FuncOp function = functions[stage];
    function->setAttr(shd::kMeshAttr, mesh.symbol);
    Prices prices(machine, mesh, weightBytes);
    Model model(function, mesh, prices, pins);
    model.stage = viewOf(stage, transfer);
    if (failed(model.build()))
      return failure();
    for (auto send : function.getBody().front().getOps<coll::SendOp>())
      sent[send.getTag()] = model.meaningOf(send.getOperand());
    if (options.fixed)
      if (Status fixed = fixPlan(model, prices, *options.fixed, place); !fixed)
        return module.emitError() << fixed.error().message;
    int64_t limit = memoryLimit(options, machine);
    Result<search::Solution> solution = solve(model.problem, options, limit);
    report.lacksMemory = !solution && model.problem.usageLimit.has_value();
    if (!solution)
      return module.emitError() << "no plan for stage " << stage << " on " << sizes[stage] << " device(s) of '"
                                << machine.name << "': " << solution.error().message;
    writePlan(module, function, mesh, model, solution->choice, prices);
    PlanReport own = makeReport(model, *solution, mesh, prices);
    if (options.explain) {
      if (options.objective == "memory")
        model.problem.usageLimit = solution->peak;
      own.blocks = explainPlan(model, *solution, Layouts(function, mesh, prices), own.ops);
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
  std::vector<PlanMesh> meshes; // by stage
  PinBoard pins;
  int64_t batch = 0;
  double weightBytes = 0;                               // of all stages: on a host they share its cache
  llvm::DenseMap<uint64_t, SmallVector<Segments>> sent; // by tag; looked up only
  FixedPlace place;
};

} // namespace

std::optional<std::vector<machine::Machine>> machinesOfStages(const machine::Machine &machine, int64_t devices,
                                                              ArrayRef<int64_t> sizes) {
  std::vector<machine::Machine> machines;
  size_t group = 0;
  int64_t left = machine.groups.front().count;
  for (int64_t size : sizes) {
    while (left == 0 && group + 1 < machine.groups.size())
      left = machine.groups[++group].count;
    if (left < size)
      return std::nullopt;
    left -= size;
    machines.push_back(machine::forDevices(machine::forGroup(machine, group), devices));
  }
  return machines;
}

LogicalResult planStages(ModuleOp module, ArrayRef<func::FuncOp> functions, const PlanOptions &options,
                         PlanReport &report) {
  report = {};
  return StagePlanner(module, functions, options, report).run();
}

} // namespace mpopt::planning
