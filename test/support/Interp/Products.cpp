// Matrix products, attention, rotary embedding.
#include "Evaluators.h"
#include "Wrap.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

namespace {

void matmul(nn::MatmulOp, Operands in, Results out) {
  int64_t depth = in[0]->shape.back();
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> left(index), right(index);
    for (int64_t k = 0; k < depth; ++k) {
      left.back() = k;
      right[right.size() - 2] = k;
      int64_t a = in[0]->atBroadcast(left), b = in[1]->atBroadcast(right);
      if (out[0].isFloat())
        out[0].floats[i] += in[0]->floats[a] * in[1]->floats[b];
      else
        out[0].ints[i] = Wrap::add(out[0].ints[i], Wrap::mul(in[0]->ints[a], in[1]->ints[b]));
    }
  });
}

void packedMatmul(nn::PackedMatmulOp, Operands in, Results out) {
  int64_t depth = in[0]->shape.back(), width = in[1]->shape[2];
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> left(index);
    for (int64_t k = 0; k < depth; ++k) {
      left.back() = k;
      int64_t n = index.back();
      out[0].floats[i] += in[0]->floats[in[0]->at(left)] * in[1]->floats[in[1]->at({n / width, k, n % width})];
    }
  });
}

/// sums += x[from ..] * the expert's matrix.
void addRow(const Tensor &x, int64_t from, const Tensor &weights, int64_t expert, std::vector<double> &sums) {
  for (int64_t k = 0; k < weights.shape[1]; ++k)
    for (int64_t n = 0; n < weights.shape[2]; ++n)
      sums[n] += x.floats[from + k] * weights.floats[weights.at({expert, k, n})];
}

void expertMatmul(nn::ExpertMatmulOp, Operands in, Results out) {
  int64_t rows = out[0].shape[0], columns = out[0].shape[1], depth = in[0]->shape[1];
  for (int64_t row = 0; row < rows; ++row) {
    int64_t expert = in[2]->ints[row];
    if (expert < 0 || expert >= in[1]->shape[0])
      continue;
    std::vector<double> sums(columns, 0.0);
    addRow(*in[0], row / (rows / in[0]->shape[0]) * depth, *in[1], expert, sums);
    llvm::copy(sums, out[0].floats.begin() + row * columns);
  }
}

double activate(nn::Activation kind, double x) {
  switch (kind) {
  case nn::Activation::Relu:
    return std::max(x, 0.0);
  case nn::Activation::Silu:
    return x / (1 + std::exp(-x));
  case nn::Activation::Gelu:
    return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  case nn::Activation::GeluTanh:
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  return x;
}

void experts(nn::ExpertsOp op, Operands in, Results out) {
  const Tensor &up = *in[3], &down = *in[4];
  int64_t chosen = in[1]->shape.back(), width = up.shape[1], columns = down.shape[2];
  for (int64_t i = 0; i < in[1]->size(); ++i) {
    int64_t expert = in[1]->ints[i], token = i / chosen;
    if (expert < 0 || expert >= up.shape[0])
      continue;
    Tensor hidden = Tensor::zeros(up.element, {up.shape[2]});
    std::vector<double> gate(up.shape[2], 0.0), sums(columns, 0.0);
    addRow(*in[0], token * width, up, expert, hidden.floats);
    if (op.getGate())
      addRow(*in[0], token * width, *in[5], expert, gate);
    for (auto [x, g] : llvm::zip_equal(hidden.floats, gate))
      x = op.getGate() ? activate(op.getActivation(), g) * x : activate(op.getActivation(), x);
    addRow(hidden, 0, down, expert, sums);
    for (int64_t n = 0; n < columns; ++n)
      out[0].floats[token * columns + n] += in[2]->floats[i] * sums[n];
  }
}

class Attention {
public:
  Attention(nn::AttentionOp op, Operands in)
      : op(op), q(*in[0]), k(*in[1]), v(*in[2]), mask(op.getMask() ? in[3] : nullptr) {}

  void run(Tensor &out) {
    forEachIndex(out.shape, [&](ArrayRef<int64_t> index, int64_t i) { out.floats[i] = element(index); });
  }

private:
  double element(ArrayRef<int64_t> index) {
    int64_t batch = index[0], head = index[1], row = index[2], group = head / (q.shape[1] / k.shape[1]);
    SmallVector<double> scores;
    double largest = -std::numeric_limits<double>::infinity();
    for (int64_t key = 0; key < k.shape[2]; ++key) {
      scores.push_back(score(batch, head, group, row, key));
      // A plain maximum would let a NaN pass unseen.
      largest = std::isnan(scores.back()) || std::isnan(largest) ? std::nan("") : std::max(largest, scores.back());
    }
    if (largest == -std::numeric_limits<double>::infinity())
      return op.getSafe() ? 0 : std::nan("");
    double sum = 0, result = 0;
    for (int64_t key = 0; key < k.shape[2]; ++key) {
      double weight = std::exp(scores[key] - largest);
      sum += weight;
      result += weight * v.floats[v.at({batch, group, key, index[3]})];
    }
    return result / sum;
  }

  double score(int64_t batch, int64_t head, int64_t group, int64_t row, int64_t key) {
    double hidden = -std::numeric_limits<double>::infinity(), product = 0;
    for (int64_t d = 0; d < q.shape[3]; ++d)
      product += q.floats[q.at({batch, head, row, d})] * k.floats[k.at({batch, group, key, d})];
    product *= op.getScale().convertToDouble();
    if (double cap = op.getSoftcap().convertToDouble(); cap > 0)
      product = cap * std::tanh(product / cap);
    if (op.getCausal() && key > row + static_cast<int64_t>(op.getCausalOffset()))
      return hidden;
    if (!mask)
      return product;
    int64_t at = mask->atBroadcast({batch, head, row, key});
    return mask->isFloat() ? product + mask->floats[at] : mask->ints[at] ? product : hidden;
  }

  nn::AttentionOp op;
  const Tensor &q, &k, &v, *mask;
};

void rotary(nn::RotaryOp op, Operands in, Results out) {
  const Tensor &x = *in[0];
  int64_t half = in[1]->shape.back();
  forEachIndex(x.shape, [&](ArrayRef<int64_t> index, int64_t i) {
    int64_t d = index.back();
    if (d >= 2 * half) {
      out[0].floats[i] = x.floats[i];
      return;
    }
    int64_t pair = op.getInterleaved() ? d / 2 : d % half;
    bool second = op.getInterleaved() ? d % 2 : d >= half;
    SmallVector<int64_t> other(index), angle(index);
    other.back() = op.getInterleaved() ? d ^ 1 : second ? d - half : d + half;
    angle.back() = pair;
    double c = in[1]->floats[in[1]->atBroadcast(angle)], s = in[2]->floats[in[2]->atBroadcast(angle)],
           partner = x.floats[x.at(other)];
    out[0].floats[i] = x.floats[i] * c + (second ? partner : -partner) * s;
  });
}

} // namespace

void mpopt::interp::addProducts(Evaluators &to) {
  to.add<nn::MatmulOp>(matmul);
  to.add<nn::PackedMatmulOp>(packedMatmul);
  to.add<nn::ExpertMatmulOp>(expertMatmul);
  to.add<nn::ExpertsOp>(experts);
  to.add<nn::RotaryOp>(rotary);
  to.add<nn::AttentionOp>([](nn::AttentionOp op, Operands in, Results out) { Attention(op, in).run(out[0]); });
}
