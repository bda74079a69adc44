// ONNX reductions, arg-reductions, TopK and CumSum.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

enum class Before { None, Abs, Square };
enum class After { None, Sqrt, Log };

Value square(Node &n, Value x) { return n.mul(x, x); }

/// The axes of a reduction: an attribute before operator set 18 (13 for ReduceSum), an input after; none means all, or with
/// noop_with_empty_axes nothing.
std::optional<SmallVector<int64_t>> reductionAxes(Node &n) {
  Value x = n.in(0);
  auto given = n.intsOf("axes", 1);
  if (!x || n.hasFailed())
    return std::nullopt;
  int64_t rank = Build::rankOf(x);
  if (given && !given->empty())
    return n.axes(*given, rank);
  if (n.intAttr("noop_with_empty_axes", 0))
    return SmallVector<int64_t>();
  return llvm::to_vector(llvm::seq<int64_t>(0, rank));
}

template <nn::ReduceKind kind, Before before, After after> void reduction(Node &n) {
  auto axes = reductionAxes(n);
  if (!axes || n.hasFailed())
    return;
  Value x = n.in(0);
  if (before == Before::Abs)
    x = n.make<nn::AbsOp>({x});
  else if (before == Before::Square)
    x = square(n, x);
  x = n.reduce(kind, x, *axes, n.intAttr("keepdims", 1));
  if (after == After::Sqrt)
    x = n.make<nn::SqrtOp>({x});
  else if (after == After::Log)
    x = n.make<nn::LogOp>({x});
  n.give(x);
}

void lowerReduceMean(Node &n) {
  auto axes = reductionAxes(n);
  if (axes && !n.hasFailed())
    n.give(n.mean(n.in(0), *axes, n.intAttr("keepdims", 1)));
}

/// log(sum(exp(x - max))) + max, so that it does not overflow.
void lowerReduceLogSumExp(Node &n) {
  auto axes = reductionAxes(n);
  if (!axes || n.hasFailed())
    return;
  Value x = n.in(0), max = n.reduce(nn::ReduceKind::Max, x, *axes, true);
  Value sum = n.reduce(nn::ReduceKind::Sum, n.make<nn::ExpOp>({n.sub(x, max)}), *axes, true);
  Value result = n.add(n.make<nn::LogOp>({sum}), max);
  if (result && !n.intAttr("keepdims", 1)) {
    SmallVector<int64_t> shape;
    for (auto [i, size] : llvm::enumerate(Build::shapeOf(x)))
      if (!llvm::is_contained(*axes, static_cast<int64_t>(i)))
        shape.push_back(size);
    result = n.reshape(result, shape);
  }
  n.give(result);
}

template <bool min> void argReduction(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  SmallVector<NamedAttribute> attributes{n.integer("axis", n.axis(n.intAttr("axis", 0), Build::rankOf(x)))};
  if (min)
    attributes.push_back(n.unit("min"));
  if (n.intAttr("select_last_index", 0))
    attributes.push_back(n.unit("select_last"));
  if (n.intAttr("keepdims", 1))
    attributes.push_back(n.unit("keep_dims"));
  n.give(n.make<nn::ArgReduceOp>({x}, attributes));
}

void lowerTopK(Node &n) {
  Value x = n.in(0);
  auto k = n.hasAttr("k") ? std::optional(SmallVector<int64_t>{n.intAttr("k", 0)}) : n.ints(1, "k");
  if (!x || !k || k->empty())
    return;
  SmallVector<NamedAttribute> attributes{n.integer("k", k->front()),
                                         n.integer("axis", n.axis(n.intAttr("axis", -1), Build::rankOf(x)))};
  if (!n.intAttr("largest", 1))
    attributes.push_back(n.unit("smallest"));
  n.give(n.makeAll<nn::TopKOp>({x}, attributes));
}

void lowerCumSum(Node &n) {
  Value x = n.in(0);
  auto axis = n.ints(1, "axis");
  if (!x || !axis || axis->empty())
    return;
  SmallVector<NamedAttribute> attributes{n.integer("axis", n.axis(axis->front(), Build::rankOf(x)))};
  for (StringRef flag : {"exclusive", "reverse"})
    if (n.intAttr(flag, 0))
      attributes.push_back(n.unit(flag));
  n.give(n.make<nn::CumSumOp>({x}, attributes));
}

/// x moved by `count` places along the axis, ones coming in.
Value shiftInOnes(Node &n, Value x, int64_t axis, int64_t count, bool towardsStart) {
  if (!x)
    return nullptr;
  int64_t rank = Build::rankOf(x), kept = Build::shapeOf(x)[axis] - count;
  SmallVector<int64_t> low(rank, 0), high(rank, 0);
  (towardsStart ? high : low)[axis] = count;
  Value part = n.slice(x, axis, towardsStart ? count : 0, kept);
  return n.make<nn::PadOp>({part}, {n.integers("low", low), n.integers("high", high), n.number("value", 1)});
}

/// Running products, by doubling the reach of each element.
void lowerCumProd(Node &n) {
  Value x = n.in(0);
  auto axis = n.ints(1, "axis");
  if (!x || !axis || axis->empty())
    return;
  int64_t along = n.axis(axis->front(), Build::rankOf(x));
  bool reverse = n.intAttr("reverse", 0);
  if (n.hasFailed())
    return;
  int64_t size = Build::shapeOf(x)[along];
  if (n.intAttr("exclusive", 0) && size > 0)
    x = shiftInOnes(n, x, along, 1, reverse);
  for (int64_t reach = 1; reach < size; reach *= 2)
    x = n.mul(x, shiftInOnes(n, x, along, reach, reverse));
  n.give(x);
}

/// Axes 2 and up of [batch, channels, spatial..].
SmallVector<int64_t> spatialAxes(Value x) {
  return llvm::to_vector(llvm::seq<int64_t>(2, std::max<int64_t>(Build::rankOf(x), 2)));
}

void lowerGlobalAveragePool(Node &n) {
  if (Value x = n.in(0))
    n.give(n.mean(x, spatialAxes(x), /*keepDims=*/true));
}

void lowerGlobalMaxPool(Node &n) {
  if (Value x = n.in(0))
    n.give(n.reduce(nn::ReduceKind::Max, x, spatialAxes(x), /*keepDims=*/true));
}

} // namespace

void mpopt::onnx::addReductions(LoweringTable &table) {
  using nn::ReduceKind;
  table["ReduceSum"] = reduction<ReduceKind::Sum, Before::None, After::None>;
  table["ReduceMax"] = reduction<ReduceKind::Max, Before::None, After::None>;
  table["ReduceMin"] = reduction<ReduceKind::Min, Before::None, After::None>;
  table["ReduceProd"] = reduction<ReduceKind::Prod, Before::None, After::None>;
  table["ReduceL1"] = reduction<ReduceKind::Sum, Before::Abs, After::None>;
  table["ReduceL2"] = reduction<ReduceKind::Sum, Before::Square, After::Sqrt>;
  table["ReduceSumSquare"] = reduction<ReduceKind::Sum, Before::Square, After::None>;
  table["ReduceLogSum"] = reduction<ReduceKind::Sum, Before::None, After::Log>;
  table["ReduceLogSumExp"] = lowerReduceLogSumExp;
  table["ReduceMean"] = lowerReduceMean;
  table["ArgMax"] = argReduction<false>;
  table["ArgMin"] = argReduction<true>;
  table["TopK"] = lowerTopK;
  table["CumSum"] = lowerCumSum;
  table["CumProd"] = lowerCumProd;
  table["GlobalAveragePool"] = lowerGlobalAveragePool;
  table["GlobalMaxPool"] = lowerGlobalMaxPool;
}
