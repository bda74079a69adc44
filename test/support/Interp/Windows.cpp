// Convolution and pooling.
#include "Evaluators.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

namespace {

/// Where tap `tap` of the window at `index` (without batch and channel) lies in the input; false outside of it.
template <typename Op>
bool locate(Op op, ArrayRef<int64_t> spatialShape, ArrayRef<int64_t> index, ArrayRef<int64_t> tap,
            SmallVectorImpl<int64_t> &at) {
  bool inside = true;
  for (size_t d = 0; d < tap.size(); ++d) {
    at.push_back(index[d] * op.getStrides()[d] + tap[d] * op.getDilations()[d] - op.getPadsBegin()[d]);
    inside &= at.back() >= 0 && at.back() < spatialShape[d];
  }
  return inside;
}

void conv(nn::ConvOp op, Operands in, Results out) {
  const Tensor &x = *in[0], &w = *in[1];
  ArrayRef<int64_t> kernel = ArrayRef(w.shape).drop_front(2), spatial = ArrayRef(x.shape).drop_front(2);
  int64_t perGroup = out[0].shape[1] / static_cast<int64_t>(op.getGroups());
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    double sum = op.getBias() ? in[2]->floats[index[1]] : 0;
    forEachIndex(kernel, [&](ArrayRef<int64_t> tap, int64_t) {
      SmallVector<int64_t> at{index[0], 0}, weight{index[1], 0};
      if (!locate(op, spatial, index.drop_front(2), tap, at))
        return;
      llvm::append_range(weight, tap);
      for (int64_t c = 0; c < w.shape[1]; ++c) {
        at[1] = index[1] / perGroup * w.shape[1] + c;
        weight[1] = c;
        sum += x.floats[x.at(at)] * w.floats[w.at(weight)];
      }
    });
    out[0].floats[i] = op.getRelu() && sum < 0 ? 0 : sum;
  });
}

/// Every input element spreads over the positions that a convolution would read it from.
void convTranspose(nn::ConvTransposeOp op, Operands in, Results out) {
  const Tensor &x = *in[0], &w = *in[1];
  ArrayRef<int64_t> kernel = ArrayRef(w.shape).drop_front(2), spatial = ArrayRef(out[0].shape).drop_front(2);
  int64_t perGroup = x.shape[1] / static_cast<int64_t>(op.getGroups());
  if (op.getBias())
    forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) { out[0].floats[i] = in[2]->floats[index[1]]; });
  forEachIndex(x.shape, [&](ArrayRef<int64_t> index, int64_t i) {
    forEachIndex(kernel, [&](ArrayRef<int64_t> tap, int64_t) {
      SmallVector<int64_t> at{index[0], 0}, weight{index[1], 0};
      if (!locate(op, spatial, index.drop_front(2), tap, at))
        return;
      llvm::append_range(weight, tap);
      for (int64_t o = 0; o < w.shape[1]; ++o) {
        at[1] = index[1] / perGroup * w.shape[1] + o;
        weight[1] = o;
        out[0].floats[out[0].at(at)] += x.floats[i] * w.floats[w.at(weight)];
      }
    });
  });
}

/// The same with channels last: `at` begins with the batch index and lacks the channel.
template <typename Op>
bool locateChannelsLast(Op op, const Tensor &x, ArrayRef<int64_t> index, ArrayRef<int64_t> tap,
                        SmallVectorImpl<int64_t> &at) {
  at.push_back(index[0]);
  return locate(op, ArrayRef(x.shape).drop_front().drop_back(), index.drop_front().drop_back(), tap, at);
}

void packedConv(nn::PackedConvOp op, Operands in, Results out) {
  const Tensor &x = *in[0], &w = *in[1];
  ArrayRef<int64_t> packed = w.shape, kernel = packed.drop_front(2).drop_back(2);
  int64_t perGroup = out[0].shape.back() / packed[0], depth = packed[packed.size() - 2], width = packed.back();
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    int64_t group = index.back() / perGroup, column = index.back() % perGroup;
    forEachIndex(kernel, [&](ArrayRef<int64_t> tap, int64_t) {
      SmallVector<int64_t> at, weight{group, column / width};
      if (!locateChannelsLast(op, x, index, tap, at))
        return;
      llvm::append_range(weight, tap);
      weight.append({0, column % width});
      at.push_back(0);
      for (int64_t c = 0; c < depth; ++c) {
        at.back() = group * depth + c;
        weight[weight.size() - 2] = c;
        out[0].floats[i] += x.floats[x.at(at)] * w.floats[w.at(weight)];
      }
    });
  });
}

void depthwiseConv(nn::DepthwiseConvOp op, Operands in, Results out) {
  const Tensor &x = *in[0], &w = *in[1];
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    forEachIndex(ArrayRef(w.shape).drop_back(), [&](ArrayRef<int64_t> tap, int64_t) {
      SmallVector<int64_t> at, weight(tap);
      if (!locateChannelsLast(op, x, index, tap, at))
        return;
      at.push_back(index.back());
      weight.push_back(index.back());
      out[0].floats[i] += x.floats[x.at(at)] * w.floats[w.at(weight)];
    });
  });
}

/// Calls `body(value)` for every real element of the window at `index`.
template <typename Op>
void forEachInWindow(Op op, const Tensor &x, ArrayRef<int64_t> index, llvm::function_ref<void(double)> body) {
  forEachIndex(op.getKernel(), [&](ArrayRef<int64_t> tap, int64_t) {
    SmallVector<int64_t> at;
    bool inside;
    if (op.getChannelsLast()) {
      inside = locateChannelsLast(op, x, index, tap, at);
      at.push_back(index.back());
    } else {
      at.append({index[0], index[1]});
      inside = locate(op, ArrayRef(x.shape).drop_front(2), index.drop_front(2), tap, at);
    }
    if (inside)
      body(x.floats[x.at(at)]);
  });
}

void maxPool(nn::MaxPoolOp op, Operands in, Results out) {
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    double &largest = out[0].floats[i] = -std::numeric_limits<double>::infinity();
    forEachInWindow(op, *in[0], index, [&](double value) {
      if (!std::isnan(largest))
        largest = std::isnan(value) ? value : std::max(largest, value);
    });
  });
}

void avgPool(nn::AvgPoolOp op, Operands in, Results out) {
  double taps = 1;
  for (int64_t size : op.getKernel())
    taps *= static_cast<double>(size);
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    double sum = 0, count = 0;
    forEachInWindow(op, *in[0], index, [&](double value) {
      sum += value;
      ++count;
    });
    out[0].floats[i] = sum / (op.getCountIncludePad() ? taps : count);
  });
}

} // namespace

void mpopt::interp::addWindows(Evaluators &to) {
  to.add<nn::ConvOp>(conv);
  to.add<nn::ConvTransposeOp>(convTranspose);
  to.add<nn::MaxPoolOp>(maxPool);
  to.add<nn::AvgPoolOp>(avgPool);
  to.add<nn::PackedConvOp>(packedConv);
  to.add<nn::DepthwiseConvOp>(depthwiseConv);
}
