#include "StagedProgram.h"
#include "Layouts.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace mpopt::planning {

StagedProgram::StagedProgram(const Model &model, const search::Solution &solution, Prices &prices,
                             const Transfer &transfer, const PlanReport &report)
    : prices(prices), transfer(transfer) {
  size_t number = 0;
  for (auto [decision, choice] : llvm::zip_equal(model.decisions, solution.choice))
    if (decision.kind == Decision::Operator) {
      index[decision.op] = ops.size();
      ops.push_back({decision.op, &report.ops[number++], &(*decision.options)[choice]});
    }
}

const StagedOp *StagedProgram::find(Operation *op) const {
  auto found = op ? index.find(op) : index.end();
  return found == index.end() ? nullptr : &ops[found->second];
}

int64_t StagedProgram::bytesOf(const StagedOp &op, unsigned result) const {
  return prices.localBytes(op.option->out[result], cast<RankedTensorType>(op.op->getResult(result).getType()));
}

std::vector<bool> StagedProgram::findFloating() const {
  std::vector<bool> floats;
  llvm::DenseMap<Operation *, double> seconds; // with all that it is computed from
  for (const StagedOp &op : ops) {
    double all = op.seconds();
    bool free = !Layouts::isDecisive(op.op) && op.report->commSeconds == 0;
    for (Value operand : op.op->getOperands())
      if (const StagedOp *maker = find(operand.getDefiningOp())) {
        free &= floats[maker - ops.data()];
        all += seconds.lookup(maker->op);
      }
    int64_t bytes = 0;
    for (unsigned result = 0; result < op.op->getNumResults(); ++result)
      bytes += bytesOf(op, result);
    floats.push_back(free && all <= transfer.seconds(bytes));
    seconds[op.op] = all;
  }
  return floats;
}

void StagedProgram::place(const std::vector<bool> &floats, int64_t stages) {
  bool any = llvm::count(floats, false) >= stages;
  int64_t place = 0;
  for (auto [op, floating] : llvm::zip_equal(ops, floats)) {
    op.floats = any && floating;
    op.place = op.floats ? -1 : place++;
  }
  makeChain();
}

std::optional<std::vector<size_t>> StagedProgram::pinnedCuts(ArrayRef<StagePin> pins, int64_t stages) const {
  llvm::StringMap<int64_t> wanted;
  for (const StagePin &pin : pins)
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
  return stage + 1 == stages && !cuts.empty() ? std::optional(cuts) : std::nullopt;
}

/// Of the places [first, last], the last one before which fewest bytes cross.
size_t StagedProgram::leastCrossing(int64_t first, int64_t last) const {
  int64_t best = last;
  for (int64_t place = last; place >= first; --place)
    if (chain.crossingBytes[place] < chain.crossingBytes[best])
      best = place;
  return static_cast<size_t>(best);
}

/// The last operator, by place, that uses a value; -1 where only results of @main are made of it.
int64_t StagedProgram::lastUse(Value value) const {
  int64_t last = -1;
  for (Operation *user : value.getUsers())
    if (const StagedOp *staged = find(user))
      last = std::max(last, staged->place);
  return last;
}

void StagedProgram::makeChain() {
  chain = {};
  for (const StagedOp &op : ops) {
    if (op.floats)
      continue;
    chain.seconds.push_back(op.seconds());
    chain.weightBytes.push_back(op.option->weightBytes);
  }
  chain.liveBytes.assign(chain.size(), 0);
  chain.crossingBytes.assign(chain.size(), 0);
  for (const StagedOp &op : ops)
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

void warnOfStagePins(func::FuncOp main, const std::string &stages) {
  main.emitWarning() << "the pipeline stages that the model's annotations ask for cannot be had (they are no " << stages
                     << " runs of operators that fit into memory); they are ignored";
}

} // namespace mpopt::planning
