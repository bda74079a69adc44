// Slices whose bounds depend on the model's inputs: the whole tensor with what is inside, for operators that reduce it away again.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

// A run is the result of an unrealized cast of (tensor, start, end) to their types with the sliced axis as an attribute. Bags of
// embeddings are exported so: each bag is a slice that is summed.

namespace {
constexpr StringLiteral kAxis = "axis";

struct Run {
  Value value, start, end;
  int64_t axis;

  int64_t size() const { return Build::shapeOf(value)[axis]; }
};

Run elementsOf(Value run) {
  Operation *op = run.getDefiningOp();
  return {op->getOperand(0), op->getOperand(1), op->getOperand(2), op->getAttrOfType<IntegerAttr>(kAxis).getInt()};
}

Value pack(Node &n, const Run &run) {
  if (n.hasFailed() || !run.value)
    return nullptr;
  Value packed = n.pack({run.value, run.start, run.end});
  packed.getDefiningOp()->setAttr(kAxis, IntegerAttr::get(IntegerType::get(n.context(), 64), run.axis));
  return packed;
}

/// A bound as a scalar, counted from the start.
Value boundOf(Node &n, Value bound, int64_t size) {
  return fromStart(n, n.cast(n.reshape(bound, {}), IntegerType::get(n.context(), 64)), size);
}

/// Which elements along the run's axis are inside: booleans, as many as the axis has elements.
Value insideOf(Node &n, const Run &run) {
  Value places = n.iota(RankedTensorType::get({run.size()}, IntegerType::get(n.context(), 64)), 0, 0, 1);
  Value start = boundOf(n, run.start, run.size()), end = boundOf(n, run.end, run.size());
  return n.make<nn::AndOp>({n.compare(nn::Predicate::Ge, places, start), n.compare(nn::Predicate::Lt, places, end)});
}

/// Rows at a run of indices.
void gatherRun(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  Run indices = elementsOf(n.in(1));
  int64_t axis = n.axis(n.intAttr("axis", 0), Build::rankOf(x));
  if (!n.hasFailed())
    n.give(pack(n, {n.gather(x, indices.value, axis), indices.start, indices.end, axis + indices.axis}));
}

/// Products of runs with the same bounds (weights of a bag's elements), or with what spreads over all of them.
void multiplyRun(Node &n) {
  Value a = n.in(0), b = n.in(1);
  if (!a || !b)
    return;
  Run first = elementsOf(isRun(a) ? a : b);
  Value other = isRun(a) ? b : a;
  int64_t rank = Build::rankOf(first.value), axisFromEnd = rank - first.axis, otherRank;
  if (isRun(other)) {
    Run second = elementsOf(other);
    otherRank = Build::rankOf(second.value);
    if (second.start != first.start || second.end != first.end || second.size() != first.size() ||
        otherRank - second.axis != axisFromEnd)
      return void(n.fail() << "ONNX operator " << n.op << " of two slices of different bounds is not supported");
    other = second.value;
  } else {
    otherRank = Build::rankOf(other);
    if (otherRank >= axisFromEnd && Build::shapeOf(other)[otherRank - axisFromEnd] != 1)
      return void(n.fail() << "ONNX operator " << n.op
                           << " of a slice whose size depends on the model's inputs needs a "
                           << "factor for all of it" << kExportAnew);
  }
  n.give(pack(n, {n.mul(first.value, other), first.start, first.end, std::max(rank, otherRank) - axisFromEnd}));
}

void unsqueezeRun(Node &n) {
  Run run = elementsOf(n.in(0));
  auto given = n.intsOf("axes", 1);
  if (!given)
    return;
  SmallVector<int64_t> shape(Build::shapeOf(run.value));
  int64_t rank = static_cast<int64_t>(shape.size() + given->size()), axis = run.axis;
  for (int64_t added : n.axes(*given, rank)) {
    axis += added <= axis;
    shape.insert(shape.begin() + std::min<int64_t>(added, shape.size()), 1);
  }
  if (!n.hasFailed())
    n.give(pack(n, {n.reshape(run.value, shape), run.start, run.end, axis}));
}

/// Over the run's axis and maybe others: what is not inside counts nothing.
void reduceRun(Node &n) {
  Run run = elementsOf(n.in(0));
  int64_t rank = Build::rankOf(run.value);
  auto given = n.intsOf("axes", 1);
  SmallVector<int64_t> axes = given ? n.axes(*given, rank) : llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (n.hasFailed())
    return;
  if (!llvm::is_contained(axes, run.axis))
    return void(n.fail() << "ONNX operator " << n.op << " must reduce the axis that depends on the model's inputs"
                         << kExportAnew);
  bool keeps = n.intAttr("keepdims", 1), isMax = n.op == "ReduceMax";
  if (isMax && !Build::isFloat(run.value))
    return void(
        n.fail() << "ONNX operator ReduceMax of a slice of integers whose size depends on the model's inputs is "
                 << "not supported" << kExportAnew);
  Value rest = n.like(run.value, isMax ? -std::numeric_limits<double>::infinity() : 0);
  SmallVector<int64_t> line(rank, 1);
  line[run.axis] = run.size();
  Value inside = insideOf(n, run), known = n.select(n.reshape(inside, line), run.value, rest);
  Value result = n.reduce(isMax ? nn::ReduceKind::Max : nn::ReduceKind::Sum, known, axes, keeps);
  if (n.op == "ReduceMean" && result) {
    double others = 1;
    for (int64_t axis : axes)
      others *= axis == run.axis ? 1 : static_cast<double>(Build::shapeOf(run.value)[axis]);
    Value count = n.reduce(nn::ReduceKind::Sum, n.cast(inside, Build::elementOf(run.value)), {0}, false);
    result = n.div(result, n.mul(count, n.like(run.value, others)));
  }
  n.give(result);
}

} // namespace

bool mpopt::onnx::isRun(Value value) {
  Operation *op = value && isa<TupleType>(value.getType()) ? value.getDefiningOp() : nullptr;
  return op && op->hasAttr(kAxis);
}

bool mpopt::onnx::isRunSlice(Node &n) {
  if (!n.has(1) || !n.has(2) || (Node::constantIntsOf(n.opt(1)) && Node::constantIntsOf(n.opt(2))))
    return false;
  auto isOne = [&](unsigned i) {
    return !n.has(i) || (Build::typeOf(n.opt(i)).getNumElements() == 1 && Node::constantIntsOf(n.opt(i)));
  };
  auto isNumber = [&](unsigned i) { return Build::typeOf(n.opt(i)).getNumElements() == 1; };
  return isNumber(1) && isNumber(2) && isOne(3) && isOne(4) &&
         (!n.has(4) || Node::constantIntsOf(n.opt(4))->front() == 1);
}

Value mpopt::onnx::runOf(Node &n) {
  Value x = n.in(0);
  int64_t axis = n.has(3) ? Node::constantIntsOf(n.opt(3))->front() : 0;
  axis = n.axis(axis, Build::rankOf(x));
  if (n.hasFailed())
    return nullptr;
  return pack(n, {x, n.in(1), n.in(2), axis});
}

Lowering mpopt::onnx::runLowering(Node &n) {
  auto only = [&](unsigned place) {
    for (auto [i, input] : llvm::enumerate(n.inputs))
      if (isRun(input) != (i == place))
        return false;
    return true;
  };
  if (n.op == "Gather" && only(1))
    return gatherRun;
  if (n.op == "Mul")
    return multiplyRun;
  if (n.op == "Unsqueeze" && isRun(n.opt(0)))
    return unsqueezeRun;
  if ((n.op == "ReduceSum" || n.op == "ReduceMean" || n.op == "ReduceMax") && isRun(n.opt(0)))
    return reduceRun;
  n.fail() << "ONNX operator " << n.op
           << " takes a slice whose size depends on the model's inputs, which is not supported" << kExportAnew;
  return nullptr;
}
