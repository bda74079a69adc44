// Reductions, selections along an axis, running sums.
#include "Evaluators.h"
#include "Reduce.h"
#include "Wrap.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

double mpopt::interp::identityOf(shd::ReduceKind kind) {
  switch (kind) {
  case shd::ReduceKind::Sum:
    return 0;
  case shd::ReduceKind::Prod:
    return 1;
  case shd::ReduceKind::Max:
    return -std::numeric_limits<double>::infinity();
  case shd::ReduceKind::Min:
    return std::numeric_limits<double>::infinity();
  }
  llvm_unreachable("all kinds are above");
}

void mpopt::interp::reduceInto(shd::ReduceKind kind, Tensor &into, int64_t i, const Tensor &from, int64_t j) {
  auto apply = [&](auto &a, auto b) {
    if (kind == shd::ReduceKind::Sum)
      a = Wrap::add(a, b);
    else if (kind == shd::ReduceKind::Prod)
      a = Wrap::mul(a, b);
    else if (a != a || b != b) // NaN wins
      a = a != a ? a : b;
    else
      a = kind == shd::ReduceKind::Max ? std::max(a, b) : std::min(a, b);
  };
  if (into.isFloat())
    apply(into.floats[i], from.floats[j]);
  else
    apply(into.ints[i], from.ints[j]);
}

namespace {

shd::ReduceKind kindOf(nn::ReduceKind kind) { return static_cast<shd::ReduceKind>(kind); }

/// The result's index of an input index: `axes` dropped, or kept as 0.
SmallVector<int64_t> reducedIndex(ArrayRef<int64_t> index, ArrayRef<int64_t> axes, bool keepDims) {
  SmallVector<int64_t> result;
  for (auto [d, i] : llvm::enumerate(index)) {
    bool reduced = llvm::is_contained(axes, static_cast<int64_t>(d));
    if (!reduced || keepDims)
      result.push_back(reduced ? 0 : i);
  }
  return result;
}

void reduce(nn::ReduceOp op, Operands in, Results out) {
  shd::ReduceKind kind = kindOf(op.getKind());
  for (int64_t i = 0; i < out[0].size(); ++i)
    out[0].setNumber(i, identityOf(kind));
  forEachIndex(in[0]->shape, [&](ArrayRef<int64_t> index, int64_t i) {
    reduceInto(kind, out[0], out[0].at(reducedIndex(index, op.getAxes(), op.getKeepDims())), *in[0], i);
  });
}

/// Whether element a comes before b among the largest (smallest).
bool beats(const Tensor &tensor, int64_t a, int64_t b, bool smallest) {
  if (tensor.isFloat())
    return smallest ? tensor.floats[a] < tensor.floats[b] : tensor.floats[a] > tensor.floats[b];
  return smallest ? tensor.ints[a] < tensor.ints[b] : tensor.ints[a] > tensor.ints[b];
}

void argReduce(nn::ArgReduceOp op, Operands in, Results out) {
  int64_t axis = op.getAxis();
  forEachIndex(in[0]->shape, [&](ArrayRef<int64_t> index, int64_t i) {
    int64_t &best = out[0].ints[out[0].at(reducedIndex(index, axis, op.getKeepDims()))];
    SmallVector<int64_t> other(index);
    other[axis] = best;
    bool tie = !beats(*in[0], in[0]->at(other), i, op.getMin());
    if (index[axis] == 0 || beats(*in[0], i, in[0]->at(other), op.getMin()) || (op.getSelectLast() && tie))
      best = index[axis];
  });
}

void topK(nn::TopKOp op, Operands in, Results out) {
  int64_t axis = op.getAxis(), size = in[0]->shape[axis], k = op.getK();
  SmallVector<int64_t> rows(in[0]->shape);
  rows[axis] = 1;
  forEachIndex(rows, [&](ArrayRef<int64_t> row, int64_t) {
    SmallVector<int64_t> at(row);
    auto offset = [&](const Tensor &tensor, int64_t i) {
      at[axis] = i;
      return tensor.at(at);
    };
    SmallVector<bool> taken(size);
    for (int64_t place = 0; place < k; ++place) {
      int64_t best = -1;
      for (int64_t i = 0; i < size; ++i)
        if (!taken[i] && (best < 0 || beats(*in[0], offset(*in[0], i), offset(*in[0], best), op.getSmallest())))
          best = i;
      taken[best] = true;
      out[0].copy(offset(out[0], place), *in[0], offset(*in[0], best));
      out[1].ints[offset(out[1], place)] = best;
    }
  });
}

void cumSum(nn::CumSumOp op, Operands in, Results out) {
  int64_t axis = op.getAxis(), size = in[0]->shape[axis];
  SmallVector<int64_t> rows(in[0]->shape);
  rows[axis] = std::min<int64_t>(size, 1);
  forEachIndex(rows, [&](ArrayRef<int64_t> row, int64_t) {
    SmallVector<int64_t> at(row);
    Tensor sum = Tensor::zeros(in[0]->element, {});
    for (int64_t step = 0; step < size; ++step) {
      at[axis] = op.getReverse() ? size - 1 - step : step;
      int64_t i = in[0]->at(at);
      if (op.getExclusive())
        out[0].copy(i, sum, 0);
      reduceInto(shd::ReduceKind::Sum, sum, 0, *in[0], i);
      if (!op.getExclusive())
        out[0].copy(i, sum, 0);
    }
  });
}

} // namespace

void mpopt::interp::addReductions(Evaluators &to) {
  to.add<nn::ReduceOp>(reduce);
  to.add<nn::ArgReduceOp>(argReduce);
  to.add<nn::TopKOp>(topK);
  to.add<nn::CumSumOp>(cumSum);
}
