#include "Roles.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

bool saysSomething(const Segments &segments) {
  return llvm::any_of(segments, [](const Segment &segment) { return segment.role != DimRole::Other; });
}

/// Whether all parts mean the same; then so does every part of them.
bool isUniform(const Segments &segments) {
  return llvm::all_of(segments, [&](const Segment &segment) { return segment.role == segments.front().role; });
}

int64_t sizeOf(const Segments &segments) {
  int64_t size = 1;
  for (const Segment &segment : segments)
    size *= segment.size;
  return size;
}

/// Takes parts of total size `size` off the front of `rest`; empty when the borders do not fit.
Segments take(Segments &rest, int64_t size) {
  Segments taken;
  while (size > 1 && !rest.empty()) {
    Segment &front = rest.front();
    if (size % front.size == 0) {
      size /= front.size;
      taken.push_back(front);
      rest.erase(rest.begin());
    } else if (front.size % size == 0) {
      taken.push_back({size, front.role});
      front.size /= size;
      size = 1;
    } else {
      return {};
    }
  }
  return size == 1 ? taken : Segments{};
}

/// The parts of the factors that make up one dimension, major to minor.
SmallVector<Segments> split(Segments dim, ArrayRef<int64_t> sizes) {
  SmallVector<Segments> parts;
  if (dim.empty() || isUniform(dim)) { // also where sizes differ, as along a convolution's image
    DimRole role = dim.empty() ? DimRole::Other : dim.front().role;
    for (int64_t size : sizes)
      parts.push_back({{size, role}});
    return parts;
  }
  bool fits = true;
  for (int64_t size : sizes) {
    parts.push_back(take(dim, size));
    fits &= sizeOf(parts.back()) == size;
  }
  if (!fits)
    for (auto [part, size] : llvm::zip_equal(parts, sizes))
      part = {{size, DimRole::Other}};
  return parts;
}

Segments whole(int64_t size, DimRole role) { return size > 1 ? Segments{{size, role}} : Segments{}; }

} // namespace

DimRoles::DimRoles(func::FuncOp main, const StageInputs &inputs) {
  for (Operation &op : llvm::reverse(main.getBody().front())) {
    seedAttention(&op);
    followBack(&op);
  }
  seed(main, inputs);
  for (Operation &op : main.getBody().front())
    follow(&op);
}

/// Dimension 2 of [batch, heads, length, depth].
void DimRoles::seedAttention(Operation *op) {
  if (!isa<nn::AttentionOp>(op))
    return;
  for (Value operand : op->getOperands().take_front(2)) {
    if (nn::isInitTime(operand))
      continue;
    SmallVector<Segments> dims;
    for (auto [d, size] : llvm::enumerate(cast<RankedTensorType>(operand.getType()).getShape()))
      dims.push_back(whole(size, d == 2 ? DimRole::Sequence : DimRole::Other));
    note(operand, std::move(dims));
  }
}

/// Keeps what is known about dimensions of which `dims` says nothing.
void DimRoles::note(Value value, SmallVector<Segments> dims) {
  auto [it, isNew] = known.try_emplace(value, dims);
  if (isNew)
    return;
  for (auto [before, now] : llvm::zip_equal(it->second, dims))
    if (saysSomething(now) || !saysSomething(before))
      before = now;
}

void DimRoles::seed(func::FuncOp main, const StageInputs &inputs) {
  int64_t batch = inputs.batch;
  for (BlockArgument argument : main.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    SmallVector<Segments> &dims = known[argument];
    if (dims.empty())
      for (int64_t size : type.getShape())
        dims.push_back(whole(size, DimRole::Other));
    if (type.getRank() == 0)
      continue;
    if (batch == 0)
      batch = type.getDimSize(0);
    if (type.getDimSize(0) == batch)
      dims[0] = whole(batch, DimRole::Batch);
    if (type.getRank() == 2 && type.getElementType().isInteger())
      dims[1] = whole(type.getDimSize(1), DimRole::Sequence);
  }
  if (!inputs.received)
    return;
  for (auto recv : main.getBody().front().getOps<coll::RecvOp>())
    if (SmallVector<Segments> dims = inputs.received(recv); !dims.empty())
      note(recv.getResult(), std::move(dims));
}

void DimRoles::follow(Operation *op) {
  auto partition = dyn_cast<shd::PartitionInterface>(op);
  if (!partition || llvm::none_of(op->getOperands(), [&](Value operand) { return known.contains(operand); }))
    return;
  shd::PartitionRule rule = partition.getPartitionRule();
  SmallVector<Segments> factors = ofFactors(op->getOperands(), rule);
  for (auto [result, ruleDims] : llvm::zip_equal(op->getResults(), rule.resultDims)) {
    SmallVector<Segments> dims;
    for (ArrayRef<unsigned> parts : ruleDims) {
      Segments &dim = dims.emplace_back();
      for (unsigned factor : parts)
        dim.append(factors[factor]);
    }
    note(result, std::move(dims));
  }
}

/// From the results to the operands.
void DimRoles::followBack(Operation *op) {
  auto partition = dyn_cast<shd::PartitionInterface>(op);
  if (!partition || llvm::none_of(op->getResults(), [&](Value result) { return known.contains(result); }))
    return;
  shd::PartitionRule rule = partition.getPartitionRule();
  SmallVector<Segments> factors(rule.factors.size());
  gather(op->getResults(), rule.resultDims, rule, factors);
  for (auto [operand, ruleDims] : llvm::zip_equal(op->getOperands(), rule.operandDims)) {
    SmallVector<Segments> dims;
    for (ArrayRef<unsigned> parts : ruleDims) {
      Segments &dim = dims.emplace_back();
      for (unsigned factor : parts)
        dim.append(factors[factor].empty() ? whole(rule.factors[factor].size, DimRole::Other) : factors[factor]);
    }
    if (!nn::isInitTime(operand) && llvm::any_of(dims, saysSomething))
      note(operand, std::move(dims));
  }
}

void DimRoles::gather(ValueRange values, ArrayRef<shd::PartitionRule::TensorDims> tensors,
                      const shd::PartitionRule &rule, MutableArrayRef<Segments> factors) const {
  for (auto [value, ruleDims] : llvm::zip_equal(values, tensors)) {
    auto dims = known.find(value);
    if (dims == known.end())
      continue;
    for (auto [dim, parts] : llvm::zip_equal(dims->second, ruleDims)) {
      SmallVector<int64_t> sizes;
      for (unsigned factor : parts)
        sizes.push_back(rule.factors[factor].size);
      for (auto [factor, segments] : llvm::zip_equal(parts, split(dim, sizes)))
        if (!saysSomething(factors[factor]))
          factors[factor] = segments;
    }
  }
}

SmallVector<Segments> DimRoles::ofFactors(ValueRange operands, const shd::PartitionRule &rule) const {
  SmallVector<Segments> factors(rule.factors.size());
  gather(operands, rule.operandDims, rule, factors);
  for (auto [segments, factor] : llvm::zip_equal(factors, rule.factors))
    if (segments.empty())
      segments = whole(factor.size, DimRole::Other);
  return factors;
}

SmallVector<Segments> DimRoles::ofValue(Value value) const { return known.lookup(value); }

} // namespace mpopt::planning
