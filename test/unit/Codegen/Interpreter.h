#ifndef MPOPT_TEST_UNIT_CODEGEN_INTERPRETER_H
#define MPOPT_TEST_UNIT_CODEGEN_INTERPRETER_H

#include "Reference.h"
#include "mpopt/Dialect/NN/NN.h"
#include <functional>
#include <numeric>

namespace mpopt::test {

using Index = std::vector<int64_t>;

inline mlir::RankedTensorType typeOf(mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()); }

inline int64_t flat(const Index &index, const std::vector<int64_t> &shape) {
  int64_t linear = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    linear = linear * shape[d] + index[d];
  return linear;
}

inline double &get(Tensor &t, const Index &index) { return t.data[flat(index, t.shape)]; }
inline double get(const Tensor &t, const Index &index) { return t.data[flat(index, t.shape)]; }

/// Element of `t` that numpy's broadcasting puts at `index`.
inline double broadcast(const Tensor &t, const Index &index) {
  Index own;
  size_t skip = index.size() - t.shape.size();
  for (size_t d = 0; d < t.shape.size(); ++d)
    own.push_back(t.shape[d] == 1 ? 0 : index[d + skip]);
  return get(t, own);
}

inline Tensor zeros(mlir::Value like) {
  Tensor t;
  t.shape.assign(typeOf(like).getShape().begin(), typeOf(like).getShape().end());
  t.data.assign(t.size(), 0);
  return t;
}

inline void each(const std::vector<int64_t> &shape, const std::function<void(const Index &)> &body) {
  Index index(shape.size(), 0);
  int64_t n = std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<>());
  for (int64_t i = 0; i < n; ++i) {
    body(index);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d])
        break;
      index[d] = 0;
    }
  }
}

/// The values of a function so far, and what each operator makes of them.
struct Interpreter {
  llvm::DenseMap<mlir::Value, Tensor> values;

  const Tensor &operand(mlir::Value value) { return values[value]; }
  void run(mlir::Operation *op);
  void shapes(mlir::Operation *op, Tensor &out);
  void indexing(mlir::Operation *op, Tensor &out);
  void reductions(mlir::Operation *op, Tensor &out);
  void products(mlir::Operation *op, Tensor &out);
  void softmax(nn::SoftmaxOp op, Tensor &out);
  void layerNorm(nn::LayerNormOp op, Tensor &out);
  void attention(nn::AttentionOp op, Tensor &out);
  void rotary(nn::RotaryOp op, Tensor &out);
  void topK(nn::TopKOp op);
};

} // namespace mpopt::test

#endif // MPOPT_TEST_UNIT_CODEGEN_INTERPRETER_H
