#include "Factors.h"
#include "Check.h"
#include "Shardings.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::fuzz;

namespace {

using Axes = SmallVector<StringAttr>;

/// All that one instance of an operator is put through on one mesh.
class FactorForcer {
public:
  FactorForcer(Program &base, ArrayRef<int64_t> sizes, FactorCounts &counts, SmallVector<bool> &split)
      : program(base.clone()), mesh(addMesh(*program.module, sizes)), counts(counts), split(split) {
    for (shd::MeshAxisAttr axis : mesh.getAxes())
      axes.push_back(axis.getName());
    op = &*std::prev(program.main().getBody().front().end(), 2);
    rule = cast<shd::PartitionInterface>(op).getPartitionRule();
    targets = rule.factors.size() + rule.linearIn.size();
  }

  /// Empty, or the first strategy that fails and how.
  std::string run() {
    for (size_t target = 0; target < targets; ++target) {
      for (const Axes &order : orders())
        if (std::string problem = runOne({{target, order}}); !problem.empty())
          return problem;
      if (std::string problem = runBlocks(target); !problem.empty())
        return problem;
      for (size_t other = 0; other < targets && axes.size() > 1; ++other) {
        if (other == target)
          continue;
        Axes rest(ArrayRef(axes).drop_front());
        if (std::string problem = runOne({{target, {axes[0]}}, {other, rest}}); !problem.empty())
          return problem;
      }
    }
    return runRoutes();
  }

private:
  using Deal = std::pair<size_t, Axes>;

  SmallVector<Axes> orders() const {
    SmallVector<Axes> result{axes};
    if (axes.size() > 1)
      result.push_back(Axes(llvm::reverse(axes)));
    return result;
  }

  bool isFactor(size_t target) const { return target < rule.factors.size(); }

  std::string runOne(ArrayRef<Deal> deals) {
    shd::FactorSharding strategy;
    strategy.axes.resize(rule.factors.size());
    for (auto &[target, names] : deals) {
      if (isFactor(target)) {
        strategy.axes[target] = names;
        continue;
      }
      if (!strategy.unreduced.empty()) // through two linear sets at once
        return "";
      strategy.unreduced = names;
      strategy.linearSet = target - rule.factors.size();
    }
    return runStrategy(strategy);
  }

  /// Tokens and experts over axes that both have: all of them, or the minor ones of either.
  std::string runRoutes() {
    for (auto [experts, factor] : llvm::enumerate(rule.factors))
      for (auto [tokens, other] : llvm::enumerate(rule.factors))
        if (factor.role == shd::FactorRole::Expert && other.role == shd::FactorRole::Token)
          if (std::string problem = runRoutes(tokens, experts); !problem.empty())
            return problem;
    return "";
  }

  std::string runRoutes(size_t tokens, size_t experts) {
    for (const Axes &order : orders())
      for (const Axes &other : orders())
        for (size_t first = 0; first < order.size(); ++first) {
          Axes minor(ArrayRef(order).drop_front(first));
          for (auto [ofTokens, ofExperts] : {std::pair(minor, other), std::pair(other, minor)})
            if (std::string problem = runOne({{tokens, ofTokens}, {experts, ofExperts}}); !problem.empty())
              return problem;
        }
    return "";
  }

  /// The factor over all axes in units of each divisor that makes a difference.
  std::string runBlocks(size_t target) {
    if (!isFactor(target))
      return "";
    int64_t size = rule.factors[target].size;
    for (int64_t block = 2; block < size; ++block) {
      if (size % block != 0 || size / block % mesh.getNumDevices() == 0)
        continue;
      shd::FactorSharding strategy;
      strategy.axes.resize(rule.factors.size());
      strategy.axes[target] = axes;
      strategy.blocks.assign(rule.factors.size(), 1);
      strategy.blocks[target] = block;
      if (std::string problem = runStrategy(strategy); !problem.empty())
        return problem;
    }
    return "";
  }

  std::string runStrategy(const shd::FactorSharding &strategy) {
    replicate(program, mesh);
    if (failed(apply(op, strategy, mesh)))
      return "";
    for (auto [mark, names] : llvm::zip_equal(split, strategy.axes))
      mark |= !names.empty();
    for (bool whole : {true, false}) {
      if (!whole)
        shardInputsAs(op);
      ++counts.runs;
      counts.routes += !shd::getRoutedAxes(rule, strategy).empty();
      if (std::string problem = check(program); !problem.empty())
        return describeFailure(program, problem);
    }
    return "";
  }

  Program program;
  shd::MeshAttr mesh;
  FactorCounts &counts;
  SmallVector<bool> &split;
  Axes axes;
  Operation *op;
  shd::PartitionRule rule;
  size_t targets;
};

shd::PartitionRule ruleOf(Program &program) {
  Operation *op = &*std::prev(program.main().getBody().front().end(), 2);
  return cast<shd::PartitionInterface>(op).getPartitionRule();
}

} // namespace

std::string mpopt::fuzz::forceFactors(MLIRContext *context, StringRef name, int64_t instances, FactorCounts &counts) {
  static const std::vector<SmallVector<int64_t>> meshes = {{2}, {3}, {2, 2}, {2, 3}, {2, 2, 2}};
  for (int64_t seed = 0; seed < instances; ++seed) {
    Program base = ProgramMaker(context, interp::hashName(name) + static_cast<uint64_t>(seed)).makeOne(name);
    if (!base.module || base.main().getNumResults() == 0)
      continue;
    shd::PartitionRule rule = ruleOf(base);
    SmallVector<bool> split(rule.factors.size(), false);
    for (ArrayRef<int64_t> sizes : meshes)
      if (std::string problem = FactorForcer(base, sizes, counts, split).run(); !problem.empty())
        return name.str() + ", instance " + std::to_string(seed) + ": " + problem;
    for (auto [factor, isSplit] : llvm::zip_equal(rule.factors, split)) {
      counts.factors += factor.kind != shd::FactorKind::NeedReplicate;
      counts.split += isSplit;
    }
  }
  return "";
}
