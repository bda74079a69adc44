#include "Units.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Calls `body(value, dimension, its factors)` for all dimensions of run-time operands and results. Init-time values bind nobody: each
/// user takes its own slice.
void eachDim(Operation *op, const shd::PartitionRule &rule,
             llvm::function_ref<void(Value, unsigned, ArrayRef<unsigned>)> body) {
  auto visit = [&](ValueRange values, ArrayRef<shd::PartitionRule::TensorDims> tensors) {
    for (auto [value, dims] : llvm::zip_equal(values, tensors))
      if (!nn::isInitTime(value))
        for (auto [dim, parts] : llvm::enumerate(dims))
          body(value, dim, parts);
  };
  visit(op->getOperands(), rule.operandDims);
  visit(op->getResults(), rule.resultDims);
}

/// The fewer parts of two; 0 says nothing.
int64_t meet(int64_t a, int64_t b) { return a == 0 || b == 0 ? a + b : std::min(a, b); }

} // namespace

DimUnits::DimUnits(func::FuncOp main) {
  std::vector<std::pair<Operation *, shd::PartitionRule>> rules;
  for (Operation &op : main.getBody().front())
    if (auto partition = dyn_cast<shd::PartitionInterface>(op); partition && op.getNumOperands() > 0)
      rules.emplace_back(&op, partition.getPartitionRule());
  for (bool changed = true; changed;) {
    changed = false;
    for (auto &[op, rule] : rules)
      changed |= visit(op, rule);
    for (auto &[op, rule] : llvm::reverse(rules))
      changed |= visit(op, rule);
  }
}

SmallVector<int64_t> DimUnits::ofFactors(Operation *op, const shd::PartitionRule &rule) const {
  SmallVector<int64_t> factors(rule.factors.size(), 0);
  eachDim(op, rule, [&](Value value, unsigned dim, ArrayRef<unsigned> parts) {
    if (parts.empty())
      return;
    int64_t &major = factors[parts.front()];
    int64_t known = parts.size() > 1 ? rule.factors[parts.front()].size : units.lookup({value, dim});
    major = meet(major, known);
  });
  return factors;
}

bool DimUnits::visit(Operation *op, const shd::PartitionRule &rule) {
  SmallVector<int64_t> factors = ofFactors(op, rule);
  bool changed = false;
  eachDim(op, rule, [&](Value value, unsigned dim, ArrayRef<unsigned> parts) {
    if (!parts.empty())
      changed |= note(value, dim, factors[parts.front()]);
  });
  return changed;
}

/// Units only shrink, so that the search for them ends.
bool DimUnits::note(Value value, unsigned dim, int64_t unit) {
  if (unit == 0)
    return false;
  int64_t &known = units[{value, dim}];
  int64_t before = known;
  known = meet(known, unit);
  return known != before;
}

} // namespace mpopt::planning
