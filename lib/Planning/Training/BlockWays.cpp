#include "BlockWays.h"
#include "mpopt/Cost/Training/Layer.h"
#include "mpopt/Cost/Training/Traffic.h"

using namespace mlir;

namespace mpopt::planning {

using search::BlockState;
using search::BlockTable;
using search::BlockWay;

namespace {

constexpr double kBackwardBytes = 1.7; ///< Of work without products, relative to forward.

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The dimension of channels or features: 1 in images and rows, the last one in sequences.
int64_t featureDim(Value value) {
  int64_t rank = typeOf(value).getRank();
  return rank == 3 ? 2 : 1;
}

/// The major factor of a dimension of operand 0 or of the result.
std::optional<unsigned> majorFactor(const shd::PartitionRule::TensorDims &dims, int64_t dim) {
  if (dim >= static_cast<int64_t>(dims.size()) || dims[dim].empty())
    return std::nullopt;
  return dims[dim].front();
}

bool contains(const shd::PartitionRule::TensorDims &dims, unsigned factor) {
  return llvm::any_of(dims, [&](const auto &dim) { return llvm::is_contained(dim, factor); });
}

bool hasWeightMatrix(const Chain &chain, Operation *op) {
  return isa<nn::MatmulOp, nn::ConvOp>(op) && chain.isRunTime(op->getOperand(0)) && !chain.isRunTime(op->getOperand(1));
}

} // namespace

BlockWays::BlockWays(const Chain &chain, const Block &block, const WorkPrices &prices, BlockLoad load)
    : chain(chain), block(block), prices(prices), load(load) {
  for (Operation *op : operators())
    for (Value operand : op->getOperands())
      if (!input && chain.isRunTime(operand))
        input = operand;
  output = operators().back()->getResult(0);
}

double BlockWays::typeScale(Value value) const {
  // Floating-point values take the training's type, others their own.
  Type element = typeOf(value).getElementType();
  double own = static_cast<double>(std::max(8U, element.getIntOrFloatBitWidth())) / 8;
  return isa<FloatType>(element) ? machine::bytesOf(prices.activationType) : own;
}

double BlockWays::bytes(Value value) const {
  return static_cast<double>(typeOf(value).getNumElements()) * typeScale(value) * static_cast<double>(load.samples) /
         static_cast<double>(load.baseSamples);
}

double BlockWays::inputBytes() const { return bytes(input); }

/// The factor that a split cuts; nothing where the operator has none that may be cut evenly.
std::optional<unsigned> BlockWays::splitFactor(Operation *op, const shd::PartitionRule &rule, Split split) const {
  auto allowed = [&](unsigned factor, shd::FactorKind kind) {
    return rule.factors[factor].kind == kind && rule.factors[factor].size % load.devices == 0;
  };
  if (split == Split::Columns || split == Split::Rows) {
    for (unsigned factor = 0; factor < rule.factors.size(); ++factor) {
      bool in = contains(rule.operandDims[0], factor), out = contains(rule.resultDims[0], factor);
      if (!contains(rule.operandDims[1], factor) || in == out || in != (split == Split::Rows))
        continue;
      if (allowed(factor, in ? shd::FactorKind::Reduce : shd::FactorKind::Parallel))
        return factor;
    }
    return std::nullopt;
  }
  // What passes has its features in the same factor as the result, and so do biases and scales.
  auto after = majorFactor(rule.resultDims[0], featureDim(op->getResult(0)));
  if (!after || !allowed(*after, shd::FactorKind::Parallel))
    return std::nullopt;
  for (auto [operand, dims] : llvm::zip(op->getOperands(), rule.operandDims))
    if (chain.isRunTime(operand) ? majorFactor(dims, featureDim(operand)) != after
                                 : typeOf(operand).getNumElements() > 1 && !contains(dims, *after))
      return std::nullopt;
  return after;
}

bool BlockWays::canSplit(Split split) const {
  if (split == Split::None)
    return true;
  if (split == Split::Batch)
    return load.samples % load.devices == 0;
  Operation *op = operators().front();
  auto partition = dyn_cast<shd::PartitionInterface>(op);
  return operators().size() == 1 && partition && splitFactor(op, partition.getPartitionRule(), split).has_value();
}

SmallVector<int64_t> BlockWays::localSizes(Operation *op, const shd::PartitionRule &rule, Split split) const {
  SmallVector<int64_t> sizes;
  for (const shd::Factor &factor : rule.factors)
    sizes.push_back(factor.size);
  auto batch = majorFactor(rule.resultDims[0], 0);
  if (batch && sizes[*batch] % load.baseSamples == 0) {
    int64_t samples = load.samples / (split == Split::Batch ? load.devices : 1);
    sizes[*batch] = sizes[*batch] / load.baseSamples * samples;
  }
  if (split != Split::Batch && split != Split::None)
    if (auto factor = splitFactor(op, rule, split))
      sizes[*factor] /= load.devices;
  return sizes;
}

cost::PartWork BlockWays::workOf(Operation *op, Split split) const {
  cost::PartWork work;
  auto partition = dyn_cast<shd::PartitionInterface>(op);
  if (!partition)
    return work;
  shd::PartitionRule rule = partition.getPartitionRule();
  shd::OpWork local = partition.getLocalWork(localSizes(op, rule, split));
  const machine::DeviceType &device = prices.machine->device();
  double own = static_cast<double>(std::max(8U, typeOf(op->getResult(0)).getElementType().getIntOrFloatBitWidth())) / 8;
  double moved = (local.bytesRead + local.bytesWritten) * typeScale(op->getResult(0)) / own / device.memoryBandwidth;
  bool weighted = !chain.weightsOf(op).empty();
  work.forward.launches = work.inputGradient.launches = 1;
  if (!local.matmul) {
    double rate = device.peakFlops(prices.activationType) * device.matmul.efficiency * prices.stack->matmul;
    bool attention = isa<nn::AttentionOp>(op);
    work.forward.device =
        std::max(prices.stack->pointwise * moved, attention ? local.flops / (rate * prices.stack->attention) : 0.0);
    work.inputGradient.device = (attention ? 2.5 : kBackwardBytes) * work.forward.device;
    return work;
  }
  auto product = [&](int64_t m, int64_t n, int64_t k) {
    return cost::productSeconds(*prices.machine, *prices.stack, prices.activationType, local.matmul->batch, m, n, k);
  };
  auto [batch, m, n, k] = *local.matmul;
  work.forward.device = product(m, n, k);
  work.inputGradient.device = product(m, k, n);
  work.weightGradient.device = product(k, n, m); // of the other operand, where it is no weight
  work.weightGradient.launches = 1;
  if (!weighted)
    std::swap(work.weightGradient, work.inputGradient), work.inputGradient += work.weightGradient,
        work.weightGradient = {};
  return work;
}

double BlockWays::forwardFlops() const {
  double flops = 0;
  for (Operation *op : operators())
    if (auto partition = dyn_cast<shd::PartitionInterface>(op)) {
      shd::OpWork work = partition.getLocalWork(localSizes(op, partition.getPartitionRule(), Split::None));
      if (work.matmul || isa<nn::AttentionOp>(op))
        flops += work.flops;
    }
  return flops;
}

BlockWay BlockWays::compute(Split split, StringRef words) const {
  cost::PartWork work;
  double kept = 0;
  for (Operation *op : operators()) {
    cost::PartWork more = workOf(op, split);
    work.forward += more.forward;
    work.inputGradient += more.inputGradient;
    work.weightGradient += more.weightGradient;
    for (Value result : op->getResults())
      kept += bytes(result);
  }
  double ways = static_cast<double>(load.devices);
  BlockWay way;
  way.words = words.str();
  way.seconds = cost::secondsOf(*prices.stack, work);
  way.parameters = chain.parameters(block.begin, block.end);
  way.activationBytes = kept;
  if (split == Split::Columns || split == Split::Rows || split == Split::Channels)
    way.parameters /= ways;
  if (split == Split::Batch)
    way.replicated = way.parameters;
  if (split == Split::Batch || split == Split::Columns || split == Split::Channels)
    way.activationBytes /= ways;
  return way;
}

double BlockWays::gather(double bytes) const {
  return cost::scatterSeconds(*prices.machine, *prices.stack, {load.devices, 1}, bytes);
}
double BlockWays::reduce(double bytes) const {
  return cost::reduceSeconds(*prices.machine, *prices.stack, {load.devices, 1}, bytes);
}
double BlockWays::exchange(double bytes) const {
  return cost::exchangeSeconds(*prices.machine, *prices.stack, {load.devices, 1},
                               bytes / static_cast<double>(load.devices));
}

void BlockWays::add(BlockTable &table, BlockState before, BlockState after, BlockWay way, double forward,
                    double backward, double keptBytes) const {
  way.seconds.forward += forward;
  way.seconds.inputGradient += backward;
  way.activationBytes += keptBytes;
  table[search::kBlockStates * static_cast<int>(before) + static_cast<int>(after)].push_back(std::move(way));
}

void BlockWays::addWeighted(BlockTable &table) const {
  double in = bytes(input), out = bytes(output);
  if (canSplit(Split::Columns)) {
    BlockWay way = compute(Split::Columns, "column-parallel");
    add(table, BlockState::Replicated, BlockState::Features, way, 0, reduce(in));
    add(table, BlockState::Batch, BlockState::Features, way, gather(in), gather(in), in);
    add(table, BlockState::Features, BlockState::Features, way, gather(in), gather(in), in);
  }
  if (canSplit(Split::Rows)) {
    BlockWay way = compute(Split::Rows, "row-parallel");
    add(table, BlockState::Features, BlockState::Replicated, way, reduce(out), 0);
    add(table, BlockState::Features, BlockState::Batch, way, gather(out), gather(out));
  }
}

/// Over the batch, by all devices, and over channels, after what passes was brought there.
void BlockWays::addOthers(BlockTable &table) const {
  double in = bytes(input);
  if (canSplit(Split::Batch)) {
    BlockWay way = compute(Split::Batch, "data-parallel");
    add(table, BlockState::Batch, BlockState::Batch, way);
    if (load.devices > 1) {
      add(table, BlockState::Replicated, BlockState::Batch, way, 0, gather(in));
      add(table, BlockState::Features, BlockState::Batch, way, exchange(in), exchange(in));
    }
  }
  if (load.devices == 1)
    return;
  BlockWay all = compute(Split::None, "replicated");
  add(table, BlockState::Replicated, BlockState::Replicated, all);
  add(table, BlockState::Batch, BlockState::Replicated, all, gather(in), 0);
  add(table, BlockState::Features, BlockState::Replicated, all, gather(in), 0);
  if (hasWeightMatrix(chain, operators().front()) || !canSplit(Split::Channels))
    return;
  BlockWay channels = compute(Split::Channels, "feature-parallel");
  add(table, BlockState::Features, BlockState::Features, channels);
  add(table, BlockState::Batch, BlockState::Features, channels, exchange(in), exchange(in));
  add(table, BlockState::Replicated, BlockState::Features, channels, 0, gather(in));
}

BlockTable BlockWays::table() const {
  BlockTable table(search::kBlockStates * search::kBlockStates);
  addOthers(table);
  if (operators().size() == 1 && load.devices > 1 && hasWeightMatrix(chain, operators().front()))
    addWeighted(table);
  return table;
}

} // namespace mpopt::planning
