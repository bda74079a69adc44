#include "Stages.h"
#include "StagedProgram.h"
#include "mpopt/Dialect/Shd/Stages.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

class StageMaker {
public:
  StageMaker(func::FuncOp main, const Model &model, const search::Solution &solution, Prices &prices,
             const machine::Machine &machine, const PlanOptions &options, PlanReport &report)
      : main(main), machine(machine), transfer(machine, options.devices),
        program(model, solution, prices, transfer, report), options(options), stages(options.strategy->stages),
        microbatches(options.strategy->microbatches), report(report) {}

  Status run(int64_t memoryLimit) {
    if (static_cast<int64_t>(program.ops.size()) < stages)
      return error("the model has " + std::to_string(program.ops.size()) + " operators, too few for " +
                   std::to_string(stages) + " pipeline stages; choose a smaller pp");
    program.place(program.findFloating(), stages);
    auto cuts = pinnedCuts(memoryLimit);
    if (!cuts && !options.stagePins.empty())
      warnOfStagePins(main, std::to_string(stages));
    if (!cuts)
      cuts = chooseCuts(program.chain, stages, microbatches, goal(), memoryLimit);
    report.lacksMemory = !cuts;
    if (!cuts)
      return error("every way to cut the model into " + std::to_string(stages) +
                   " pipeline stages leaves one that exceeds " + std::to_string(memoryLimit >> 20) +
                   " MiB on a device; use more devices");
    mark(*cuts);
    fillReport(*cuts);
    return {};
  }

private:
  CutGoal goal() const {
    return options.objective == "memory"       ? CutGoal::Memory
           : options.objective == "throughput" ? CutGoal::Throughput
                                               : CutGoal::Latency;
  }

  std::optional<std::vector<size_t>> pinnedCuts(int64_t memoryLimit) const {
    auto cuts = program.pinnedCuts(options.stagePins, stages);
    return cuts && costOfCuts(program.chain, *cuts).maxBytes <= memoryLimit ? cuts : std::nullopt;
  }

  void mark(const std::vector<size_t> &cuts) {
    Builder builder(main.getContext());
    main->getParentOfType<ModuleOp>()->setAttr(shd::kStagesAttr, builder.getI64IntegerAttr(stages));
    for (const StagedOp &op : program.ops)
      if (!op.floats)
        op.op->setAttr(shd::kStageAttr, builder.getI64IntegerAttr(stageOf(op, cuts)));
  }

  static int64_t stageOf(const StagedOp &op, const std::vector<size_t> &cuts) {
    return std::upper_bound(cuts.begin(), cuts.end(), static_cast<size_t>(op.place)) - cuts.begin();
  }

  void fillReport(const std::vector<size_t> &cuts) {
    report.stages.resize(stages);
    for (StageReport &stage : report.stages) {
      stage.devices = options.devices / stages;
      stage.device = machine.device().name;
    }
    for (const StagedOp &op : program.ops) {
      if (op.floats)
        continue;
      int64_t own = stageOf(op, cuts);
      StageReport &stage = report.stages[own];
      if (stage.operators++ == 0)
        stage.first = op.report->node;
      stage.last = op.report->node;
      stage.computeSeconds += op.report->computeSeconds;
      stage.commSeconds += op.report->commSeconds;
      stage.weightBytes += op.option->weightBytes;
      stage.liveBytes = std::max(stage.liveBytes, program.chain.liveBytes[op.place]);
      for (OpResult result : op.op->getResults()) {
        std::vector<bool> reaches(stages);
        for (Operation *user : result.getUsers())
          if (const StagedOp *staged = program.find(user))
            reaches[stageOf(*staged, cuts)] = true;
        for (int64_t other = own + 1; other < stages; ++other)
          if (reaches[other]) {
            stage.sentBytes += program.bytesOf(op, result.getResultNumber());
            report.stages[other].receivedBytes += program.bytesOf(op, result.getResultNumber());
          }
      }
    }
    report.memoryBytes = report.weightBytes = 0;
    for (StageReport &stage : report.stages) {
      stage.transferSeconds = transfer.seconds(stage.receivedBytes);
      report.weightBytes = std::max(report.weightBytes, stage.weightBytes);
      report.memoryBytes = std::max(report.memoryBytes, stage.weightBytes + stage.liveBytes);
    }
  }

  func::FuncOp main;
  const machine::Machine &machine;
  Transfer transfer;
  StagedProgram program;
  const PlanOptions &options;
  int64_t stages, microbatches;
  PlanReport &report;
};

} // namespace

Status assignStages(func::FuncOp main, const Model &model, const search::Solution &solution, Prices &prices,
                    const machine::Machine &machine, const PlanOptions &options, int64_t memoryLimit,
                    PlanReport &report) {
  return StageMaker(main, model, solution, prices, machine, options, report).run(memoryLimit);
}

} // namespace mpopt::planning
