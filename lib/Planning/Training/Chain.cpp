#include "Chain.h"
#include "../Names.h"
#include "mpopt/Support/BlockNames.h"

#include <map>

using namespace mlir;

namespace mpopt::planning {

Chain::Chain(func::FuncOp main) {
  for (BlockArgument argument : main.getArguments())
    runTime.insert(argument);
  for (Operation &op : main.getBody().front().without_terminator())
    if (llvm::any_of(op.getOperands(), [&](Value operand) { return isRunTime(operand); })) {
      ops.push_back(&op);
      runTime.insert(op.result_begin(), op.result_end());
    }
}

SmallVector<nn::WeightOp> Chain::weightsOf(Operation *op) const {
  SmallVector<nn::WeightOp> weights;
  SmallVector<Operation *> left = {op};
  while (!left.empty()) {
    Operation *next = left.pop_back_val();
    for (Value operand : next->getOperands())
      if (Operation *source = operand.getDefiningOp(); source && !isRunTime(operand)) {
        if (auto weight = dyn_cast<nn::WeightOp>(source))
          weights.push_back(weight);
        else
          left.push_back(source);
      }
  }
  return weights;
}

double Chain::parameters(size_t begin, size_t end) const {
  DenseSet<Operation *> seen;
  double sum = 0;
  for (size_t i = begin; i < end; ++i)
    for (nn::WeightOp weight : weightsOf(ops[i]))
      if (seen.insert(weight).second)
        sum += static_cast<double>(cast<RankedTensorType>(weight.getType()).getNumElements());
  return sum;
}

std::vector<uint64_t> Chain::signatures() const {
  std::map<std::vector<const void *>, uint64_t> known;
  std::vector<uint64_t> items;
  for (Operation *op : ops) {
    std::vector<const void *> key = {op->getName().getAsOpaquePointer(), op->getAttrDictionary().getAsOpaquePointer()};
    for (Type type : op->getOperandTypes())
      key.push_back(type.getAsOpaquePointer());
    for (Type type : op->getResultTypes())
      key.push_back(type.getAsOpaquePointer());
    items.push_back(known.try_emplace(std::move(key), known.size()).first->second);
  }
  return items;
}

std::vector<Repeat> Chain::repeats() const {
  std::vector<uint64_t> items = signatures();
  auto accepts = [&](size_t begin, size_t period) {
    return llvm::any_of(ArrayRef(ops).slice(begin, period), [&](Operation *op) { return !weightsOf(op).empty(); });
  };
  auto fit = [&](size_t begin, size_t period) {
    return static_cast<double>(commonPath(names(begin, begin + period)).size());
  };
  return RepeatFinder(items, accepts, fit).run();
}

std::vector<std::string> Chain::names(size_t begin, size_t end) const {
  std::vector<std::string> result;
  for (size_t i = begin; i < end; ++i)
    if (StringRef name = nodeName(ops[i]->getLoc()); !name.empty())
      result.push_back(name.str());
  return result;
}

} // namespace mpopt::planning
