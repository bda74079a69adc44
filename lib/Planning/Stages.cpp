#include "Stages.h"
#include "Cuts.h"
#include "Layouts.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Sending between devices in the same place of different stages.
class Transfer {
public:
  /// Over the outermost link that `devices` devices need.
  Transfer(const machine::Machine &machine, int64_t devices) {
    int64_t reach = 1;
    for (const machine::Link &candidate : machine.links) {
      link = &candidate;
      reach *= candidate.count;
      if (reach >= devices)
        break;
    }
  }
  double seconds(int64_t bytes) const {
    if (bytes == 0 || !link)
      return 0;
    return link->latencySeconds + static_cast<double>(bytes) / link->bandwidth;
  }

private:
  const machine::Link *link = nullptr;
};

/// An operator of @main as the stages see it.
struct StagedOp {
  Operation *op;
  const OpReport *report;
  const Option *option;
  bool floats = false; // computed by every stage that uses it
  int64_t place = -1;  // among those that do not float
};

class StageMaker {
public:
  StageMaker(func::FuncOp main, const Model &model, const search::Solution &solution, Prices &prices,
             const machine::Machine &machine, const PlanOptions &options, PlanReport &report)
      : main(main), prices(prices), transfer(machine, options.devices), options(options),
        stages(options.strategy->stages), microbatches(options.strategy->microbatches), report(report) {
    size_t number = 0;
    for (auto [decision, choice] : llvm::zip_equal(model.decisions, solution.choice))
      if (decision.kind == Decision::Operator) {
        index[decision.op] = ops.size();
        ops.push_back({decision.op, &report.ops[number++], &(*decision.options)[choice]});
      }
  }

  Status run(int64_t memoryLimit) {
    if (static_cast<int64_t>(ops.size()) < stages)
      return error("the model has " + std::to_string(ops.size()) + " operators, too few for " + std::to_string(stages) +
                   " pipeline stages; choose a smaller pp");
    findFloating();
    makeChain();
    auto cuts = pinnedCuts(memoryLimit);
    if (!cuts && !options.stagePins.empty())
      main.emitWarning() << "the pipeline stages that the model's annotations ask for cannot be had (they are no "
                         << stages << " runs of operators that fit into memory); they are ignored";
    if (!cuts)
      cuts = chooseCuts(chain, stages, microbatches, goal(), memoryLimit);
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

  int64_t bytesOf(const StagedOp &op, unsigned result) const {
    return prices.localBytes(op.option->out[result], cast<RankedTensorType>(op.op->getResult(result).getType()));
  }
  double secondsOf(const StagedOp &op) const { return op.report->computeSeconds + op.report->commSeconds; }
  StagedOp *find(Operation *op) {
    auto found = op ? index.find(op) : index.end();
    return found == index.end() ? nullptr : &ops[found->second];
  }

  void findFloating() {
    llvm::DenseMap<Operation *, double> seconds; // with all that it is computed from
    for (StagedOp &op : ops) {
      double all = secondsOf(op);
      bool free = !Layouts::isDecisive(op.op) && op.report->commSeconds == 0;
      for (Value operand : op.op->getOperands())
        if (StagedOp *maker = find(operand.getDefiningOp())) {
          free &= maker->floats;
          all += seconds.lookup(maker->op);
        }
      int64_t bytes = 0;
      for (unsigned result = 0; result < op.op->getNumResults(); ++result)
        bytes += bytesOf(op, result);
      op.floats = free && all <= transfer.seconds(bytes);
      seconds[op.op] = all;
    }
    if (llvm::count_if(ops, [](const StagedOp &op) { return !op.floats; }) < stages)
      for (StagedOp &op : ops)
        op.floats = false;
    int64_t place = 0;
    for (StagedOp &op : ops)
      if (!op.floats)
        op.place = place++;
  }

  /// The last operator, by place, that uses a value; -1 where only results of @main are made of it.
  int64_t lastUse(Value value) {
    int64_t last = -1;
    for (Operation *user : value.getUsers())
      if (StagedOp *staged = find(user))
        last = std::max(last, staged->place);
    return last;
  }

  void makeChain() {
    for (StagedOp &op : ops) {
      if (op.floats)
        continue;
      chain.seconds.push_back(secondsOf(op));
      chain.weightBytes.push_back(op.option->weightBytes);
    }
    chain.liveBytes.assign(chain.size(), 0);
    chain.crossingBytes.assign(chain.size(), 0);
    for (StagedOp &op : ops)
      for (unsigned result = 0; !op.floats && result < op.op->getNumResults(); ++result) {
        int64_t bytes = bytesOf(op, result), last = std::max(op.place, lastUse(op.op->getResult(result)));
        for (int64_t place = op.place; place <= last; ++place) {
          chain.liveBytes[place] += bytes;
          if (place > op.place)
            chain.crossingBytes[place] += bytes;
        }
      }
    for (int64_t bytes : chain.crossingBytes)
      chain.transferSeconds.push_back(transfer.seconds(bytes));
  }

  /// The cuts that pins ask for; between the last operator that is pinned to one stage and the first that is to the next, where least crosses.
  std::optional<std::vector<size_t>> pinnedCuts(int64_t memoryLimit) {
    llvm::StringMap<int64_t> wanted;
    for (const StagePin &pin : options.stagePins)
      wanted.try_emplace(pin.node, pin.stage);
    std::vector<size_t> cuts;
    int64_t stage = 0, last = -1;
    for (const StagedOp &op : ops) {
      auto pin = wanted.find(op.report->node);
      if (op.floats || pin == wanted.end())
        continue;
      if (pin->second < stage || pin->second > stage + 1)
        return std::nullopt;
      if (pin->second > stage) {
        if (last < 0)
          return std::nullopt;
        cuts.push_back(leastCrossing(last + 1, op.place));
        ++stage;
      }
      last = op.place;
    }
    bool good = stage + 1 == stages && !cuts.empty() && costOfCuts(chain, cuts).maxBytes <= memoryLimit;
    return good ? std::optional(cuts) : std::nullopt;
  }

  /// Of the places [first, last], the last one before which fewest bytes cross.
  size_t leastCrossing(int64_t first, int64_t last) const {
    int64_t best = last;
    for (int64_t place = last; place >= first; --place)
      if (chain.crossingBytes[place] < chain.crossingBytes[best])
        best = place;
    return static_cast<size_t>(best);
  }

  void mark(const std::vector<size_t> &cuts) {
    Builder builder(main.getContext());
    main->getParentOfType<ModuleOp>()->setAttr(shd::kStagesAttr, builder.getI64IntegerAttr(stages));
    for (StagedOp &op : ops)
      if (!op.floats)
        op.op->setAttr(shd::kStageAttr, builder.getI64IntegerAttr(stageOf(op, cuts)));
  }

  static int64_t stageOf(const StagedOp &op, const std::vector<size_t> &cuts) {
    return std::upper_bound(cuts.begin(), cuts.end(), static_cast<size_t>(op.place)) - cuts.begin();
  }

  void fillReport(const std::vector<size_t> &cuts) {
    report.stages.resize(stages);
    for (StagedOp &op : ops) {
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
      stage.liveBytes = std::max(stage.liveBytes, chain.liveBytes[op.place]);
      for (OpResult result : op.op->getResults()) {
        std::vector<bool> reaches(stages);
        for (Operation *user : result.getUsers())
          if (StagedOp *staged = find(user))
            reaches[stageOf(*staged, cuts)] = true;
        for (int64_t other = own + 1; other < stages; ++other)
          if (reaches[other]) {
            stage.sentBytes += bytesOf(op, result.getResultNumber());
            report.stages[other].receivedBytes += bytesOf(op, result.getResultNumber());
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
  Prices &prices;
  Transfer transfer;
  const PlanOptions &options;
  int64_t stages, microbatches;
  PlanReport &report;
  std::vector<StagedOp> ops;
  llvm::DenseMap<Operation *, size_t> index;
  Chain chain;
};

} // namespace

Status assignStages(func::FuncOp main, const Model &model, const search::Solution &solution, Prices &prices,
                    const machine::Machine &machine, const PlanOptions &options, int64_t memoryLimit,
                    PlanReport &report) {
  return StageMaker(main, model, solution, prices, machine, options, report).run(memoryLimit);
}

} // namespace mpopt::planning
