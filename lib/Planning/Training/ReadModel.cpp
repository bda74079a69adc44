#include "Transformer.h"
#include "mpopt/Planning/Training.h"
#include "mpopt/Support/BlockNames.h"

using namespace mlir;

namespace mpopt::planning {

namespace {

TrainingBlock blockOf(const Chain &chain, const Repeat &repeat) {
  TrainingBlock block;
  block.count = static_cast<int64_t>(repeat.count);
  block.operators = static_cast<int64_t>(repeat.period);
  block.name = blockName(chain.names(repeat.begin, repeat.begin + repeat.period));
  if (repeat.count > 1)
    block.lastName = blockName(chain.names(repeat.end() - repeat.period, repeat.end()));
  block.parameters = chain.parameters(repeat.begin, repeat.begin + repeat.period);
  return block;
}

std::vector<TrainingBlock> blocksOf(const Chain &chain, ArrayRef<Repeat> repeats) {
  std::vector<TrainingBlock> blocks;
  size_t at = 0, end = chain.operators().size();
  for (const Repeat &repeat : repeats) {
    if (repeat.begin > at)
      blocks.push_back(blockOf(chain, {at, repeat.begin - at, 1}));
    blocks.push_back(blockOf(chain, repeat));
    at = repeat.end();
  }
  if (at < end)
    blocks.push_back(blockOf(chain, {at, end - at, 1}));
  return blocks;
}

bool hasAttention(const Chain &chain, const Repeat &repeat) {
  return llvm::any_of(chain.operators().slice(repeat.begin, repeat.period),
                      [](Operation *op) { return isa<nn::AttentionOp>(op); });
}

} // namespace

TrainingModel readTrainingModel(func::FuncOp main) {
  Chain chain(main);
  std::vector<Repeat> repeats = chain.repeats();
  TrainingModel model;
  model.blocks = blocksOf(chain, repeats);
  llvm::erase_if(repeats, [&](const Repeat &repeat) { return !hasAttention(chain, repeat); });
  if (repeats.size() != 1) {
    model.notTransformer = repeats.empty()
                               ? "no layer with attention repeats in it"
                               : std::to_string(repeats.size()) + " kinds of layers with attention repeat in it";
    return model;
  }
  if (auto shape = transformerShape(chain, repeats[0]))
    model.transformer = *shape;
  else
    model.notTransformer = shape.error().message;
  return model;
}

} // namespace mpopt::planning
