#include "Layouts.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

bool isMatrix(Value value) {
  auto shape = cast<RankedTensorType>(value.getType()).getShape();
  return llvm::count_if(shape, [](int64_t size) { return size > 1; }) >= 2;
}

bool has(const shd::PartitionRule::TensorDims &dims, unsigned factor) {
  return llvm::any_of(dims, [&](ArrayRef<unsigned> parts) { return llvm::is_contained(parts, factor); });
}

/// The operand that is a matrix of weights (or a kernel, or a table) and has the factor.
std::optional<unsigned> weightWith(Operation *op, const shd::PartitionRule &rule, unsigned factor) {
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    if (nn::isInitTime(operand) && isMatrix(operand) && has(rule.operandDims[index], factor))
      return index;
  return std::nullopt;
}

bool inResults(const shd::PartitionRule &rule, unsigned factor) {
  return llvm::any_of(rule.resultDims, [&](const auto &dims) { return has(dims, factor); });
}

/// What splitting a factor over `ways` devices splits, from the major part on.
std::optional<StringRef> meaningOf(const Segments &segments, int64_t ways) {
  bool batch = false, sequence = false;
  int64_t left = ways;
  for (const Segment &segment : segments) {
    if (left <= 1)
      break;
    batch |= segment.role == DimRole::Batch;
    sequence |= segment.role == DimRole::Sequence;
    left = (left + segment.size - 1) / std::max<int64_t>(1, segment.size);
  }
  if (batch && sequence)
    return "batch and sequence split";
  if (batch)
    return "batch split";
  return sequence ? std::optional<StringRef>("sequence split") : std::nullopt;
}

} // namespace

bool Layouts::isDecisive(Operation *op) {
  if (isa<nn::AttentionOp, nn::ConvOp, nn::ConvTransposeOp, nn::ExpertsOp, nn::MatmulOp>(op))
    return true;
  return isa<nn::GatherOp>(op) && nn::isInitTime(op->getOperand(0)) && isMatrix(op->getOperand(0));
}

std::string Layouts::wordOf(Operation *op, const shd::PartitionRule &rule, const Segments &segments, unsigned factor,
                            int64_t ways) const {
  const shd::Factor &split = rule.factors[factor];
  if (split.role == shd::FactorRole::Expert)
    return "expert-parallel";
  std::optional<StringRef> meaning = meaningOf(segments, ways);
  bool isTable = isa<nn::GatherOp>(op);
  if (weightWith(op, rule, factor) && !(meaning && isTable)) {
    if (isTable)
      return inResults(rule, factor) ? "embedding split" : "vocabulary-parallel";
    return inResults(rule, factor) ? "column-parallel" : "row-parallel";
  }
  if (meaning)
    return meaning->str();
  if (split.kind == shd::FactorKind::Halo)
    return "spatial split";
  if (isa<nn::AttentionOp>(op))
    return inResults(rule, factor) ? "heads split" : "keys split";
  if (!inResults(rule, factor))
    return "reduction split";
  if (isa<nn::ConvOp, nn::ConvTransposeOp>(op))
    return "spatial split";
  return "features split";
}

std::string Layouts::words(Operation *op, const Option &option) const {
  shd::PartitionRule rule = cast<shd::PartitionInterface>(op).getPartitionRule();
  auto strategy = shd::getStrategy(rule, prices.all(option.in), prices.all(option.out), mesh.attr);
  if (failed(strategy))
    return "split";
  SmallVector<StringAttr> routed = shd::getRoutedAxes(rule, *strategy);
  SmallVector<Segments> segments = roles.ofFactors(op->getOperands(), rule);
  SmallVector<std::pair<std::string, int64_t>> parts; // equal words together
  auto add = [&](std::string word, ArrayRef<StringAttr> axes) {
    int64_t ways = 1;
    for (StringAttr axis : axes)
      ways *= mesh.mesh.axes[mesh.indexOf(axis)].size;
    auto *known = llvm::find_if(parts, [&](const auto &part) { return part.first == word; });
    if (known != parts.end())
      known->second *= ways;
    else
      parts.emplace_back(std::move(word), ways);
  };
  for (auto [factor, axes] : llvm::enumerate(strategy->axes)) {
    llvm::erase_if(axes, [&](StringAttr axis) { return llvm::is_contained(routed, axis); });
    int64_t ways = 1;
    for (StringAttr axis : axes)
      ways *= mesh.mesh.axes[mesh.indexOf(axis)].size;
    if (ways > 1)
      add(wordOf(op, rule, segments[factor], factor, ways), axes);
  }
  if (!routed.empty())
    add("tokens routed by all-to-all", routed);
  if (!strategy->unreduced.empty())
    add("on partial sums", strategy->unreduced);
  if (parts.empty())
    return mesh.size() == 0 ? "whole" : "replicated";
  std::string text;
  for (const auto &[word, ways] : parts)
    text += (text.empty() ? "" : ", ") + word + " x" + std::to_string(ways);
  return text;
}

} // namespace mpopt::planning
