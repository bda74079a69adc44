// Strategies of an operator and the shardings that follow from them, both ways.
#include "mpopt/Dialect/Shd/Blocks.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include "llvm/ADT/SmallSet.h"

using namespace mlir;
using namespace mpopt::shd;

SmallVector<int64_t> mpopt::shd::getSplits(const PartitionRule &rule, const FactorSharding &strategy, MeshAttr mesh) {
  SmallVector<int64_t> splits;
  for (unsigned i = 0; i < rule.factors.size(); ++i)
    splits.push_back(mesh.sizeOf(strategy.axes[i]));
  return splits;
}

SmallVector<int64_t> mpopt::shd::getLocalSizes(const PartitionRule &rule, const FactorSharding &strategy,
                                               MeshAttr mesh) {
  SmallVector<int64_t> sizes = getSplits(rule, strategy, mesh);
  for (auto [i, factor] : llvm::enumerate(rule.factors))
    sizes[i] = localSize(factor.size, strategy.block(i), sizes[i]);
  return sizes;
}

static std::optional<unsigned> expertFactor(const PartitionRule &rule) {
  for (auto [i, factor] : llvm::enumerate(rule.factors))
    if (factor.role == FactorRole::Expert)
      return i;
  return std::nullopt;
}

SmallVector<StringAttr> mpopt::shd::getRoutedAxes(const PartitionRule &rule, const FactorSharding &strategy) {
  SmallVector<StringAttr> routed;
  auto splitsTokens = [&](StringAttr axis) {
    return llvm::any_of(llvm::zip_equal(rule.factors, strategy.axes), [&](auto pair) {
      return std::get<0>(pair).role == FactorRole::Token && llvm::is_contained(std::get<1>(pair), axis);
    });
  };
  if (std::optional<unsigned> experts = expertFactor(rule))
    llvm::copy_if(strategy.axes[*experts], std::back_inserter(routed), splitsTokens);
  return routed;
}

SmallVector<int64_t> mpopt::shd::getWorkSizes(const PartitionRule &rule, const FactorSharding &strategy,
                                              MeshAttr mesh) {
  SmallVector<StringAttr> routed = getRoutedAxes(rule, strategy);
  FactorSharding gathered = strategy;
  for (auto [factor, axes] : llvm::zip_equal(rule.factors, gathered.axes))
    if (factor.role == FactorRole::Token)
      llvm::erase_if(axes, [&](StringAttr axis) { return llvm::is_contained(routed, axis); });
  return getLocalSizes(rule, gathered, mesh);
}

namespace {

/// Makes shardings of a rule's tensors.
class ShardingMaker {
public:
  ShardingMaker(const PartitionRule &rule, const FactorSharding &strategy, FlatSymbolRefAttr meshName, MeshAttr mesh)
      : rule(rule), strategy(strategy), meshName(meshName), mesh(mesh) {}

  /// Checks the strategy as such, and finds the kind of reduction.
  LogicalResult prepare() {
    if (strategy.axes.size() != rule.factors.size() ||
        (!strategy.blocks.empty() && strategy.blocks.size() != rule.factors.size()))
      return failure();
    llvm::SmallSet<StringRef, 8> seen;
    auto unseen = [&](StringAttr axis) { return mesh.find(axis) && seen.insert(axis.getValue()).second; };
    if (!llvm::all_of(strategy.unreduced, unseen))
      return failure();
    splits = getSplits(rule, strategy, mesh);
    locals = getLocalSizes(rule, strategy, mesh);
    routed = getRoutedAxes(rule, strategy);
    for (auto axis = routed.begin(); axis != routed.end(); ++axis)
      if (std::find(routed.begin(), axis, *axis) != axis)
        return failure();
    if (!strategy.unreduced.empty() &&
        (strategy.linearSet >= rule.linearIn.size() || failed(addReduce(ReduceKind::Sum))))
      return failure();
    for (auto [i, factor] : llvm::enumerate(rule.factors))
      if (!strategy.axes[i].empty() && (!llvm::all_of(ownAxes(i), unseen) || failed(checkFactor(i, factor))))
        return failure();
    return success();
  }

  FailureOr<ShardingAttr> operand(unsigned t) const {
    bool linear = !strategy.unreduced.empty() && llvm::is_contained(rule.linearIn[strategy.linearSet], t);
    return make(rule.operandDims[t], linear ? ArrayRef<StringAttr>(strategy.unreduced) : ArrayRef<StringAttr>(),
                ReduceKind::Sum);
  }

  FailureOr<ShardingAttr> result(unsigned t) const {
    SmallVector<StringAttr> unreduced(strategy.unreduced);
    for (auto [i, factor] : llvm::enumerate(rule.factors))
      if (factor.kind == FactorKind::Reduce)
        llvm::append_range(unreduced, ownAxes(i));
    llvm::sort(unreduced, [&](StringAttr a, StringAttr b) { return mesh.indexOf(a) < mesh.indexOf(b); });
    return make(rule.resultDims[t], unreduced, reduce.value_or(ReduceKind::Sum));
  }

private:
  /// The axes of a factor, those of the experts without the ones that tokens are routed over.
  ArrayRef<StringAttr> ownAxes(unsigned i) const {
    ArrayRef<StringAttr> axes = strategy.axes[i];
    return rule.factors[i].role == FactorRole::Expert ? axes.drop_back(routed.size()) : axes;
  }

  LogicalResult checkFactor(unsigned i, const Factor &factor) {
    int64_t block = strategy.block(i);
    if (factor.kind == FactorKind::NeedReplicate || (factor.evenOnly && factor.size % splits[i]) ||
        locals[i] < factor.minLocal || block < 1 || factor.size % block ||
        (block > 1 && (factor.evenOnly || factor.kind == FactorKind::Halo)))
      return failure();
    return factor.kind == FactorKind::Reduce ? addReduce(factor.reduce) : success();
  }

  LogicalResult addReduce(ReduceKind kind) {
    if (reduce && *reduce != kind)
      return failure();
    reduce = kind;
    return success();
  }

  FailureOr<ShardingAttr> make(const PartitionRule::TensorDims &tensor, ArrayRef<StringAttr> unreduced,
                               ReduceKind kind) const {
    SmallVector<DimShardingAttr> dims;
    for (const auto &factors : tensor) {
      FailureOr<DimShardingAttr> dim = makeDim(factors);
      if (failed(dim))
        return failure();
      dims.push_back(*dim);
    }
    return ShardingAttr::get(mesh.getContext(), meshName, dims, unreduced, kind);
  }

  /// A device's part must be one run of elements: past the first split factor every one must be even, and every factor
  /// before a split one must have one element left. `block` is the number of elements per element of the first.
  FailureOr<DimShardingAttr> makeDim(ArrayRef<unsigned> factors) const {
    SmallVector<StringAttr> axes;
    int64_t size = 1, devices = 1, major = 1, block = 1;
    for (unsigned f : factors) {
      int64_t full = rule.factors[f].size, local = locals[f];
      size *= full;
      if (!strategy.axes[f].empty()) {
        if (major != 1 || (!axes.empty() && full != local * splits[f]))
          return failure();
        block = axes.empty() ? strategy.block(f) : block * local;
        llvm::append_range(axes, strategy.axes[f]);
        devices *= splits[f];
      } else {
        block *= local;
      }
      major *= local;
    }
    return DimShardingAttr::get(mesh.getContext(), axes, axes.empty() ? 1 : smallestBlock(size, block, devices));
  }

  const PartitionRule &rule;
  const FactorSharding &strategy;
  FlatSymbolRefAttr meshName;
  MeshAttr mesh;
  SmallVector<int64_t> splits, locals;
  SmallVector<StringAttr> routed;
  std::optional<ReduceKind> reduce;
};

} // namespace

FailureOr<OpShardings> mpopt::shd::getShardings(const PartitionRule &rule, const FactorSharding &strategy,
                                                FlatSymbolRefAttr meshName, MeshAttr mesh) {
  ShardingMaker maker(rule, strategy, meshName, mesh);
  if (failed(maker.prepare()))
    return failure();
  OpShardings shardings;
  for (unsigned t = 0; t < rule.operandDims.size(); ++t) {
    FailureOr<ShardingAttr> sharding = maker.operand(t);
    if (failed(sharding))
      return failure();
    shardings.in.push_back(*sharding);
  }
  for (unsigned t = 0; t < rule.resultDims.size(); ++t) {
    FailureOr<ShardingAttr> sharding = maker.result(t);
    if (failed(sharding))
      return failure();
    shardings.out.push_back(*sharding);
  }
  return shardings;
}

namespace {

/// Reads a strategy off shardings: dimensions of one factor first, then the others with what is known.
class StrategyReader {
public:
  StrategyReader(const PartitionRule &rule, MeshAttr mesh) : rule(rule), mesh(mesh), known(rule.factors.size()) {
    strategy.axes.resize(rule.factors.size());
  }

  void read(const PartitionRule::TensorDims &tensor, ShardingAttr sharding, bool single) {
    for (auto [factors, dim] : llvm::zip(tensor, sharding.getDims()))
      if ((factors.size() == 1) == single)
        readDim(factors, dim.getAxes());
  }

  /// The block of a factor that alone splits a dimension, from that of the dimension; the factors' axes are known by now.
  void readBlocks(const PartitionRule::TensorDims &tensor, ShardingAttr sharding) {
    for (auto [factors, dim] : llvm::zip(tensor, sharding.getDims())) {
      auto isSplit = [&](unsigned f) { return !strategy.axes[f].empty(); };
      const unsigned *first = llvm::find_if(factors, isSplit);
      if (first == factors.end() || dim.getBlock() == 1 || llvm::count_if(factors, isSplit) != 1)
        continue;
      int64_t size = 1, minor = 1, devices = mesh.sizeOf(strategy.axes[*first]);
      for (const unsigned *f = factors.begin(); f != factors.end(); ++f) {
        size *= rule.factors[*f].size;
        minor *= f > first ? rule.factors[*f].size : 1;
      }
      int64_t full = rule.factors[*first].size, local = localSize(size, dim.getBlock(), devices);
      if (local % minor)
        continue;
      if (strategy.blocks.empty())
        strategy.blocks.assign(rule.factors.size(), 1);
      strategy.blocks[*first] = blockThatGives(full, local / minor, devices).value_or(1);
    }
    if (llvm::all_of(strategy.blocks, [](int64_t block) { return block == 1; }))
      strategy.blocks.clear();
  }

  void readUnreduced(ArrayRef<ShardingAttr> in, ArrayRef<ShardingAttr> out) {
    if (out.empty())
      return;
    for (StringAttr axis : out[0].getUnreduced())
      if (!llvm::any_of(strategy.axes, [&](const auto &axes) { return llvm::is_contained(axes, axis); }))
        strategy.unreduced.push_back(axis);
    llvm::sort(strategy.unreduced, [&](StringAttr a, StringAttr b) { return mesh.indexOf(a) < mesh.indexOf(b); });
    for (auto [i, set] : llvm::enumerate(rule.linearIn)) {
      bool fits = true;
      for (auto [t, sharding] : llvm::enumerate(in))
        fits &= sharding.getUnreduced().empty() != llvm::is_contained(set, static_cast<unsigned>(t));
      if (!fits)
        continue;
      strategy.linearSet = i;
      return;
    }
  }

  FactorSharding strategy;

private:
  void readDim(ArrayRef<unsigned> factors, ArrayRef<StringAttr> axes) {
    for (unsigned f : factors) {
      ArrayRef<StringAttr> take = axes;
      if (known[f])
        take = take.take_front(strategy.axes[f].size());
      else if (factors.size() > 1)
        take = takeFor(rule.factors[f].size, axes, f == factors.back());
      if (!known[f] && (factors.size() == 1 || !take.empty())) {
        strategy.axes[f].assign(take.begin(), take.end());
        known[f] = true;
      }
      axes = axes.drop_front(take.size());
    }
  }

  /// The leading axes that split a factor of `size` down to one element; the last factor takes all.
  ArrayRef<StringAttr> takeFor(int64_t size, ArrayRef<StringAttr> axes, bool last) const {
    size_t count = 0;
    for (int64_t devices = 1; count < axes.size() && (last || devices < size); ++count)
      devices *= mesh.sizeOf(axes[count]);
    return axes.take_front(count);
  }

  const PartitionRule &rule;
  MeshAttr mesh;
  SmallVector<bool> known;
};

} // namespace

/// Whether two shardings of one tensor are the same, unreduced axes in any order.
static bool sameSharding(ShardingAttr a, ShardingAttr b, MeshAttr mesh) {
  if (a == b)
    return true;
  if (a.getDims() != b.getDims() || (!a.getUnreduced().empty() && a.getReduce() != b.getReduce()) ||
      a.getUnreduced().size() != b.getUnreduced().size())
    return false;
  return llvm::all_of(a.getUnreduced(), [&](StringAttr axis) { return llvm::is_contained(b.getUnreduced(), axis); });
}

FailureOr<FactorSharding> mpopt::shd::getStrategy(const PartitionRule &rule, ArrayRef<ShardingAttr> in,
                                                  ArrayRef<ShardingAttr> out, MeshAttr mesh) {
  if (in.size() != rule.operandDims.size() || out.size() != rule.resultDims.size())
    return failure();
  auto ranksFit = [](ArrayRef<ShardingAttr> shardings, ArrayRef<PartitionRule::TensorDims> tensors) {
    return llvm::all_of(llvm::zip(shardings, tensors),
                        [](auto pair) { return std::get<0>(pair).getDims().size() == std::get<1>(pair).size(); });
  };
  if (!ranksFit(in, rule.operandDims) || !ranksFit(out, rule.resultDims))
    return failure();
  StrategyReader reader(rule, mesh);
  for (bool single : {true, false}) {
    for (auto [tensor, sharding] : llvm::zip(rule.resultDims, out))
      reader.read(tensor, sharding, single);
    for (auto [tensor, sharding] : llvm::zip(rule.operandDims, in))
      reader.read(tensor, sharding, single);
  }
  for (auto [tensor, sharding] : llvm::zip(rule.resultDims, out))
    reader.readBlocks(tensor, sharding);
  for (auto [tensor, sharding] : llvm::zip(rule.operandDims, in))
    reader.readBlocks(tensor, sharding);
  reader.readUnreduced(in, out);
  FlatSymbolRefAttr name = !out.empty()  ? out[0].getMesh()
                           : !in.empty() ? in[0].getMesh()
                                         : FlatSymbolRefAttr::get(mesh.getContext(), "mesh");
  FailureOr<OpShardings> made = getShardings(rule, reader.strategy, name, mesh);
  auto same = [&](auto pair) { return sameSharding(std::get<0>(pair), std::get<1>(pair), mesh); };
  if (failed(made) || !llvm::all_of(llvm::zip(made->in, in), same) || !llvm::all_of(llvm::zip(made->out, out), same))
    return failure();
  return reader.strategy;
}
