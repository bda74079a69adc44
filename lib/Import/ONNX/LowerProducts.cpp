// ONNX matrix products and softmax.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// Vectors become matrices of one row or column, and that dimension goes from the result.
void lowerMatMul(Node &n) {
  Value a = n.in(0), b = n.in(1);
  if (!a || !b)
    return;
  bool row = Build::rankOf(a) == 1, column = Build::rankOf(b) == 1;
  if (!Build::rankOf(a) || !Build::rankOf(b)) {
    n.fail() << "ONNX operator MatMul cannot multiply a scalar";
    return;
  }
  Value result =
      n.matmul(row ? n.reshape(a, {1, Build::shapeOf(a)[0]}) : a, column ? n.reshape(b, {Build::shapeOf(b)[0], 1}) : b);
  if (!result || (!row && !column))
    return n.give(result);
  SmallVector<int64_t> shape(Build::shapeOf(result));
  if (column)
    shape.pop_back();
  if (row)
    shape.erase(shape.end() - (column ? 1 : 2));
  n.give(n.reshape(result, shape));
}

Value swapLast(Node &n, Value x) {
  if (!x || Build::rankOf(x) < 2)
    return x;
  SmallVector<int64_t> permutation = llvm::to_vector(llvm::seq<int64_t>(0, Build::rankOf(x)));
  std::swap(permutation.back(), permutation[permutation.size() - 2]);
  return n.transpose(x, permutation);
}

Value scaled(Node &n, Value x, double factor) { return factor == 1 || !x ? x : n.mul(x, n.like(x, factor)); }

void lowerGemm(Node &n) {
  Value a = n.intAttr("transA", 0) ? swapLast(n, n.in(0)) : n.in(0);
  Value b = n.intAttr("transB", 0) ? swapLast(n, n.in(1)) : n.in(1);
  Value product = scaled(n, n.matmul(a, b), n.floatAttr("alpha", 1));
  Value c = n.opt(2);
  if (!c || n.floatAttr("beta", 1) == 0)
    return n.give(product);
  n.give(n.add(product, scaled(n, c, n.floatAttr("beta", 1))));
}

/// [d0, batch.., last] as [batch.., d0, last].
Value batchFirst(Node &n, Value x) {
  if (!x || Build::rankOf(x) < 3)
    return x;
  SmallVector<int64_t> permutation = llvm::to_vector(llvm::seq<int64_t>(1, Build::rankOf(x) - 1));
  permutation.append({0, Build::rankOf(x) - 1});
  return n.transpose(x, permutation);
}

void lowerFusedMatMul(Node &n) {
  Value a = n.intAttr("transBatchA", 0) ? batchFirst(n, n.in(0)) : n.in(0);
  Value b = n.intAttr("transBatchB", 0) ? batchFirst(n, n.in(1)) : n.in(1);
  a = n.intAttr("transA", 0) ? swapLast(n, a) : a;
  b = n.intAttr("transB", 0) ? swapLast(n, b) : b;
  n.give(scaled(n, n.matmul(a, b), n.floatAttr("alpha", 1)));
}

/// Before operator set 13 the dimensions from `axis` on count as one.
template <bool log> void lowerSoftmax(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  bool flat = n.version < 13;
  int64_t rank = Build::rankOf(x), axis = n.axis(n.intAttr("axis", flat ? 1 : -1), rank, flat);
  if (n.hasFailed())
    return;
  SmallVector<int64_t> shape(Build::shapeOf(x));
  SmallVector<NamedAttribute> attributes;
  if (log)
    attributes.push_back(n.unit("log"));
  if (!flat || axis == rank - 1) {
    attributes.push_back(n.integer("axis", axis));
    return n.give(n.make<nn::SoftmaxOp>({x}, attributes));
  }
  attributes.push_back(n.integer("axis", 1));
  ArrayRef<int64_t> s = shape;
  Value matrix =
      n.reshape(x, {ShapedType::getNumElements(s.take_front(axis)), ShapedType::getNumElements(s.drop_front(axis))});
  n.give(n.reshape(n.make<nn::SoftmaxOp>({matrix}, attributes), shape));
}

} // namespace

void mpopt::onnx::addProducts(LoweringTable &table) {
  table["MatMul"] = lowerMatMul;
  table["Gemm"] = lowerGemm;
  table["com.microsoft:FusedMatMul"] = lowerFusedMatMul;
  table["Softmax"] = lowerSoftmax<false>;
  table["LogSoftmax"] = lowerSoftmax<true>;
}
