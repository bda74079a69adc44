// Products, and softmax and norms around them.
#include "Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"
#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::test;

void Interpreter::softmax(nn::SoftmaxOp op, Tensor &out) {
  const Tensor &in = operand(op.getInput());
  int64_t axis = op.getAxis();
  std::vector<int64_t> outer = in.shape;
  outer[axis] = 1;
  each(outer, [&](const Index &i) {
    double peak = -INFINITY, sum = 0;
    auto at = [&](int64_t k) {
      Index index = i;
      index[axis] = k;
      return index;
    };
    for (int64_t k = 0; k < in.shape[axis]; ++k)
      peak = std::max(peak, get(in, at(k)));
    for (int64_t k = 0; k < in.shape[axis]; ++k)
      sum += std::exp(get(in, at(k)) - peak);
    for (int64_t k = 0; k < in.shape[axis]; ++k) {
      double shifted = get(in, at(k)) - peak;
      bool empty = op.getSafe() && peak == -INFINITY;
      get(out, at(k)) = empty ? 0 : op.getLog() ? shifted - std::log(sum) : std::exp(shifted) / sum;
    }
  });
}

void Interpreter::layerNorm(nn::LayerNormOp op, Tensor &out) {
  const Tensor &in = operand(op.getInput());
  std::vector<int64_t> row(in.shape.begin() + op.getAxis(), in.shape.end()),
      outer(in.shape.begin(), in.shape.begin() + op.getAxis());
  each(outer, [&](const Index &o) {
    auto full = [&](const Index &r) {
      Index i = o;
      i.insert(i.end(), r.begin(), r.end());
      return i;
    };
    double mean = 0, square = 0, n = 0;
    each(row, [&](const Index &r) { mean += get(in, full(r)), ++n; });
    mean = op.getRms() ? 0 : mean / n;
    each(row, [&](const Index &r) { square += std::pow(get(in, full(r)) - mean, 2); });
    double factor = 1 / std::sqrt(square / n + op.getEpsilon().convertToDouble());
    each(row, [&](const Index &r) {
      double x = (get(in, full(r)) - mean) * factor;
      if (op.getScale())
        x *= broadcast(operand(op.getScale()), r);
      if (op.getBias())
        x += broadcast(operand(op.getBias()), r);
      get(out, full(r)) = x;
    });
  });
}

void Interpreter::products(Operation *op, Tensor &out) {
  TypeSwitch<Operation *>(op)
      .Case([&](nn::MatmulOp matmul) {
        const Tensor &a = operand(matmul.getLhs()), &b = operand(matmul.getRhs());
        int64_t depth = a.shape.back();
        each(out.shape, [&](const Index &i) {
          Index left = i, right = i;
          for (int64_t k = 0; k < depth; ++k) {
            left.back() = k;
            right[right.size() - 2] = k;
            get(out, i) += broadcast(a, left) * broadcast(b, right);
          }
        });
      })
      .Case([&](nn::PackedMatmulOp matmul) {
        const Tensor &a = operand(matmul.getLhs()), &b = operand(matmul.getPacked());
        int64_t panel = b.shape[2];
        each(out.shape, [&](const Index &i) {
          Index left = i;
          for (int64_t k = 0; k < a.shape.back(); ++k) {
            left.back() = k;
            get(out, i) += get(a, left) * get(b, {i.back() / panel, k, i.back() % panel});
          }
        });
      })
      .Case([&](nn::ExpertMatmulOp matmul) {
        const Tensor &a = operand(matmul.getLhs()), &w = operand(matmul.getWeights()),
                     &e = operand(matmul.getIndices());
        int64_t times = e.shape[0] / a.shape[0];
        each(out.shape, [&](const Index &i) {
          auto expert = static_cast<int64_t>(get(e, {i[0]}));
          if (expert < 0 || expert >= w.shape[0])
            return;
          for (int64_t k = 0; k < a.shape[1]; ++k) {
            Index right{expert, k, i[1]};
            if (matmul.getN())
              right = {expert, i[1] / w.shape[3], k, i[1] % w.shape[3]};
            get(out, i) += get(a, {i[0] / times, k}) * get(w, right);
          }
        });
      })
      .Case([&](nn::AttentionOp attentionOp) { attention(attentionOp, out); });
}

void Interpreter::attention(nn::AttentionOp op, Tensor &out) {
  const Tensor &q = operand(op.getQuery()), &k = operand(op.getKey()), &v = operand(op.getValue());
  int64_t perKv = q.shape[1] / k.shape[1], keys = k.shape[2];
  double cap = op.getSoftcap().convertToDouble();
  each({q.shape[0], q.shape[1], q.shape[2]}, [&](const Index &i) {
    std::vector<double> scores(keys);
    for (int64_t j = 0; j < keys; ++j) {
      double dot = 0;
      for (int64_t d = 0; d < q.shape[3]; ++d)
        dot += get(q, {i[0], i[1], i[2], d}) * get(k, {i[0], i[1] / perKv, j, d});
      dot *= op.getScale().convertToDouble();
      if (cap > 0)
        dot = cap * std::tanh(dot / cap);
      if (op.getMask()) {
        double m = broadcast(operand(op.getMask()), {i[0], i[1], i[2], j});
        if (typeOf(op.getMask()).getElementType().isInteger(1))
          dot = m != 0 ? dot : -INFINITY;
        else
          dot += m;
      }
      if (op.getCausal() && j > i[2] + int64_t(op.getCausalOffset()))
        dot = -INFINITY;
      scores[j] = dot;
    }
    double peak = *std::max_element(scores.begin(), scores.end()), sum = 0;
    for (double s : scores)
      sum += std::exp(s - peak);
    for (int64_t d = 0; d < v.shape[3]; ++d) {
      double total = 0;
      for (int64_t j = 0; j < keys; ++j)
        total += std::exp(scores[j] - peak) / sum * get(v, {i[0], i[1] / perKv, j, d});
      get(out, {i[0], i[1], i[2], d}) = op.getSafe() && peak == -INFINITY ? 0 : total;
    }
  });
}
