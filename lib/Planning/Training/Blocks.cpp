#include "Blocks.h"

#include <map>

using namespace mlir;

namespace mpopt::planning {

namespace {

/// Number of the last operator that reads each run-time value; the results of @main are read after all of them.
DenseMap<Value, size_t> lastUses(ArrayRef<Operation *> ops) {
  DenseMap<Value, size_t> last;
  for (auto [index, op] : llvm::enumerate(ops))
    for (Value operand : op->getOperands())
      last[operand] = index;
  if (!ops.empty())
    for (Value result : ops.front()->getBlock()->getTerminator()->getOperands())
      last[result] = ops.size();
  return last;
}

} // namespace

std::vector<Block> cutBlocks(const Chain &chain) {
  ArrayRef<Operation *> ops = chain.operators();
  std::vector<uint64_t> signatures = chain.signatures();
  DenseMap<Value, size_t> last = lastUses(ops);
  std::vector<Block> blocks;
  std::map<std::vector<uint64_t>, int> kinds;
  int64_t live = 0;
  if (!ops.empty())
    for (BlockArgument argument : ops.front()->getBlock()->getArguments())
      live += last.contains(argument);
  size_t begin = 0;
  for (auto [index, op] : llvm::enumerate(ops)) {
    for (Value operand : llvm::SmallPtrSet<Value, 4>(op->operand_begin(), op->operand_end()))
      live -= chain.isRunTime(operand) && last[operand] == index;
    for (Value result : op->getResults())
      live += last.contains(result);
    if (live != 1 && index + 1 < ops.size())
      continue;
    std::vector<uint64_t> key(signatures.begin() + begin, signatures.begin() + index + 1);
    int kind = kinds.try_emplace(std::move(key), kinds.size()).first->second;
    blocks.push_back({begin, index + 1, kind});
    begin = index + 1;
  }
  return blocks;
}

std::vector<search::LayerRun> runsOf(ArrayRef<Block> blocks) {
  std::vector<search::LayerRun> runs;
  for (const Block &block : blocks)
    if (!runs.empty() && runs.back().kind == block.kind)
      ++runs.back().count;
    else
      runs.push_back({block.kind, 1});
  return runs;
}

} // namespace mpopt::planning
