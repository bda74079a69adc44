// Softmax and normalisations.
#include "Evaluators.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

namespace {

/// Calls `body` with the offsets of each set of elements that agree in `key(index)`, sets in order of first occurrence.
template <typename Key>
void forEachSet(ArrayRef<int64_t> shape, Key key, llvm::function_ref<void(ArrayRef<int64_t>)> body) {
  std::vector<std::vector<int64_t>> sets;
  forEachIndex(shape, [&](ArrayRef<int64_t> index, int64_t i) {
    size_t set = key(index);
    if (set >= sets.size())
      sets.resize(set + 1);
    sets[set].push_back(i);
  });
  for (const auto &set : sets)
    body(set);
}

int64_t linear(ArrayRef<int64_t> shape, ArrayRef<int64_t> index) {
  int64_t at = 0;
  for (auto [size, i] : llvm::zip(shape, index))
    at = at * size + i;
  return at;
}

void softmax(nn::SoftmaxOp op, Operands in, Results out) {
  int64_t axis = op.getAxis();
  SmallVector<int64_t> rows(in[0]->shape);
  rows[axis] = 1;
  auto row = [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> at(index);
    at[axis] = 0;
    return linear(rows, at);
  };
  forEachSet(in[0]->shape, row, [&](ArrayRef<int64_t> set) {
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i : set)
      largest = std::isnan(in[0]->floats[i]) ? in[0]->floats[i] : std::max(largest, in[0]->floats[i]);
    for (int64_t i : set)
      sum += std::exp(in[0]->floats[i] - largest);
    bool hidden = op.getSafe() && largest == -std::numeric_limits<double>::infinity();
    for (int64_t i : set) {
      double shifted = in[0]->floats[i] - largest;
      out[0].floats[i] = hidden ? 0 : op.getLog() ? shifted - std::log(sum) : std::exp(shifted) / sum;
    }
  });
}

struct Moments {
  double mean = 0, variance = 0, meanSquare = 0;
};

Moments momentsOf(const Tensor &x, ArrayRef<int64_t> set) {
  Moments moments;
  double count = static_cast<double>(set.size());
  for (int64_t i : set) {
    moments.mean += x.floats[i] / count;
    moments.meanSquare += x.floats[i] * x.floats[i] / count;
  }
  for (int64_t i : set)
    moments.variance += (x.floats[i] - moments.mean) * (x.floats[i] - moments.mean) / count;
  return moments;
}

void layerNorm(nn::LayerNormOp op, Operands in, Results out) {
  const Tensor *scale = op.getScale() ? in[1] : nullptr, *bias = op.getBias() ? in.back() : nullptr;
  double epsilon = op.getEpsilon().convertToDouble();
  size_t axis = op.getAxis();
  auto row = [&](ArrayRef<int64_t> index) {
    return linear(ArrayRef(in[0]->shape).take_front(axis), index.take_front(axis));
  };
  forEachSet(in[0]->shape, row, [&](ArrayRef<int64_t> set) {
    Moments moments = momentsOf(*in[0], set);
    for (int64_t i : set)
      out[0].floats[i] = op.getRms() ? in[0]->floats[i] / std::sqrt(moments.meanSquare + epsilon)
                                     : (in[0]->floats[i] - moments.mean) / std::sqrt(moments.variance + epsilon);
  });
  forEachIndex(in[0]->shape, [&](ArrayRef<int64_t> index, int64_t i) {
    if (scale)
      out[0].floats[i] *= scale->floats[scale->atBroadcast(index)];
    if (bias)
      out[0].floats[i] += bias->floats[bias->atBroadcast(index)];
  });
}

void lrn(nn::LrnOp op, Operands in, Results out) {
  int64_t size = op.getSize(), before = (size - 1) / 2, after = size - 1 - before, axis = op.getAxis(),
          channels = in[0]->shape[axis];
  forEachIndex(in[0]->shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> at(index);
    double squares = 0;
    for (int64_t c = std::max<int64_t>(0, index[axis] - before); c <= std::min(channels - 1, index[axis] + after);
         ++c) {
      at[axis] = c;
      squares += in[0]->floats[in[0]->at(at)] * in[0]->floats[in[0]->at(at)];
    }
    double base =
        op.getBias().convertToDouble() + op.getAlpha().convertToDouble() / static_cast<double>(size) * squares;
    out[0].floats[i] = in[0]->floats[i] / std::pow(base, op.getBeta().convertToDouble());
  });
}

void groupNorm(nn::GroupNormOp op, Operands in, Results out) {
  int64_t groups = op.getGroups(), width = in[0]->shape[1] / groups;
  double epsilon = op.getEpsilon().convertToDouble();
  auto group = [&](ArrayRef<int64_t> index) { return index[0] * groups + index[1] / width; };
  forEachSet(in[0]->shape, group, [&](ArrayRef<int64_t> set) {
    Moments moments = momentsOf(*in[0], set);
    for (int64_t i : set)
      out[0].floats[i] = (in[0]->floats[i] - moments.mean) / std::sqrt(moments.variance + epsilon);
  });
  forEachIndex(in[0]->shape, [&](ArrayRef<int64_t> index, int64_t i) {
    out[0].floats[i] = out[0].floats[i] * in[1]->floats[index[1]] + in[2]->floats[index[1]];
  });
}

} // namespace

void mpopt::interp::addNorms(Evaluators &to) {
  to.add<nn::SoftmaxOp>(softmax);
  to.add<nn::LayerNormOp>(layerNorm);
  to.add<nn::LrnOp>(lrn);
  to.add<nn::GroupNormOp>(groupNorm);
}
