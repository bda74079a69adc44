#include "BlockWays.h"
#include "Blocks.h"
#include "mpopt/Planning/Training.h"
#include "mpopt/Support/BlockNames.h"

using namespace mlir;

namespace mpopt::planning {

namespace {

/// The blocks of a forward graph, priced operator by operator.
class Graph final : public TrainingGraph {
public:
  Graph(func::FuncOp main, const WorkPrices &prices)
      : chain(main), blockList(cutBlocks(chain)), prices(prices),
        baseSamples(cast<RankedTensorType>(main.getArgument(0).getType()).getShape().front()) {
    for (const Block &block : blockList)
      if (block.kind == static_cast<int>(firstOfKind.size()))
        firstOfKind.push_back(block);
  }

  std::vector<search::LayerRun> runs() const override { return runsOf(blockList); }
  int kinds() const override { return static_cast<int>(firstOfKind.size()); }

  search::BlockTable table(int kind, int64_t devices, int64_t samples) const override {
    return BlockWays(chain, firstOfKind[kind], prices, {devices, samples, baseSamples}).table();
  }

  double inputBytes(int kind) const override {
    return BlockWays(chain, firstOfKind[kind], prices, {1, 1, baseSamples}).inputBytes();
  }

  double forwardFlops() const override {
    double flops = 0;
    for (const Block &block : blockList)
      flops += BlockWays(chain, block, prices, {1, 1, baseSamples}).forwardFlops();
    return flops;
  }

  int64_t blocks() const override { return static_cast<int64_t>(blockList.size()); }

  std::string name(int64_t block) const override {
    return blockName(chain.names(blockList[block].begin, blockList[block].end));
  }

  std::string operators(int64_t block) const override {
    size_t count = blockList[block].end - blockList[block].begin;
    return count == 1 ? chain.operators()[blockList[block].begin]->getName().stripDialect().str()
                      : std::to_string(count) + " operators";
  }

  double parameters(int64_t block) const override {
    return chain.parameters(blockList[block].begin, blockList[block].end);
  }

private:
  Chain chain;
  std::vector<Block> blockList;
  std::vector<Block> firstOfKind;
  WorkPrices prices;
  int64_t baseSamples;
};

} // namespace

Result<std::unique_ptr<TrainingGraph>> makeTrainingGraph(func::FuncOp main, const WorkPrices &prices) {
  auto refuse = [](const std::string &why) { return error("the model cannot be planned for training: " + why); };
  if (main.getNumArguments() == 0)
    return refuse("it has no inputs");
  auto input = cast<RankedTensorType>(main.getArgument(0).getType());
  if (input.getRank() == 0 || input.getShape().front() < 2)
    return refuse("its first input has no batch dimension of at least 2; bind it with --dim, to 2 say");
  auto graph = std::make_unique<Graph>(main, prices);
  if (graph->runs().empty())
    return refuse("no operator depends on its inputs");
  return graph;
}

} // namespace mpopt::planning
