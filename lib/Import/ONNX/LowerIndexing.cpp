// ONNX operators that pick or place elements by position.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// One dimension of ONNX Slice: bounds clamped as ONNX says.
struct Range {
  int64_t start, size, step;
};
Range clampRange(int64_t start, int64_t end, int64_t step, int64_t size) {
  auto fromEnd = [&](int64_t i) { return i < 0 ? i + size : i; };
  if (step > 0) {
    start = std::clamp<int64_t>(fromEnd(start), 0, size);
    end = std::clamp<int64_t>(fromEnd(end), 0, size);
    int64_t count = end > start ? (end - start - 1) / step + 1 : 0;
    return {count ? start : 0, count, step};
  }
  start = std::clamp<int64_t>(fromEnd(start), 0, size - 1);
  end = std::clamp<int64_t>(fromEnd(end), -1, size - 1);
  int64_t count = start > end && size > 0 ? (start - end - 1) / -std::max(step, -size - 1) + 1 : 0;
  return {count ? start : 0, count, std::max(step, -size - 1)};
}

void lowerSlice(Node &n) {
  Value x = n.in(0);
  auto starts = n.intsOf("starts", 1), ends = n.intsOf("ends", 2);
  if (!x || !starts || !ends)
    return;
  int64_t rank = Build::rankOf(x);
  auto axes = n.intsOf("axes", 3), steps = n.ints(4, "steps");
  if (n.hasFailed())
    return;
  if (!axes)
    axes = llvm::to_vector(llvm::seq<int64_t>(0, starts->size()));
  if (!steps)
    steps.emplace(starts->size(), 1);
  if (ends->size() != starts->size() || axes->size() != starts->size() || steps->size() != starts->size()) {
    n.fail() << "starts, ends, axes and steps of ONNX operator Slice differ in length";
    return;
  }
  SmallVector<int64_t> begin(rank, 0), sizes(Build::shapeOf(x)), stride(rank, 1);
  for (size_t i = 0; i < starts->size(); ++i) {
    int64_t axis = n.axis((*axes)[i], rank);
    if ((*steps)[i] == 0)
      n.fail() << "ONNX operator Slice has a step of 0";
    if (n.hasFailed())
      return;
    Range range = clampRange((*starts)[i], (*ends)[i], (*steps)[i], Build::shapeOf(x)[axis]);
    begin[axis] = range.start;
    sizes[axis] = range.size;
    stride[axis] = range.step;
  }
  n.give(
      n.make<nn::SliceOp>({x}, {n.integers("starts", begin), n.integers("sizes", sizes), n.integers("steps", stride)}));
}

/// A constant position is a slice, which moves no data by index and shards like any slice.
void lowerGather(Node &n) {
  Value x = n.in(0), indices = n.in(1);
  if (!x || !indices)
    return;
  int64_t axis = n.axis(n.intAttr("axis", 0), Build::rankOf(x));
  auto known = Node::constantIntsOf(indices);
  if (n.hasFailed())
    return;
  if (!known || known->size() != 1)
    return n.give(n.gather(x, indices, axis));
  int64_t position = n.axis(known->front(), Build::shapeOf(x)[axis]);
  if (n.hasFailed())
    return;
  SmallVector<int64_t> shape(Build::shapeOf(x).take_front(axis));
  llvm::append_range(shape, Build::shapeOf(indices));
  llvm::append_range(shape, Build::shapeOf(x).drop_front(axis + 1));
  n.give(n.reshape(n.slice(x, axis, position, 1), shape));
}

void lowerGatherElements(Node &n) {
  Value x = n.in(0);
  if (x)
    n.give(n.make<nn::GatherElementsOp>({x, n.in(1)},
                                        {n.integer("axis", n.axis(n.intAttr("axis", 0), Build::rankOf(x)))}));
}

void lowerGatherNd(Node &n) {
  n.give(n.make<nn::GatherNdOp>({n.in(0), n.in(1)}, {n.integer("batch_dims", n.intAttr("batch_dims", 0))}));
}

void lowerScatterNd(Node &n) {
  std::string name = n.textAttr("reduction", "none");
  SmallVector<NamedAttribute> attributes;
  StringRef kind = name == "add" ? "sum" : name == "mul" ? "prod" : StringRef(name);
  if (auto reduction = nn::symbolizeReduceKind(kind)) {
    attributes.push_back({"reduction", nn::ReduceKindAttr::get(n.context(), *reduction)});
  } else if (name != "none") {
    n.fail() << "ONNX operator ScatterND has no reduction '" << name << "'";
    return;
  }
  n.give(n.make<nn::ScatterNdOp>({n.in(0), n.in(1), n.in(2)}, attributes));
}

/// indices == 0 .. depth - 1 along a new axis picks the on value.
void lowerOneHot(Node &n) {
  Value indices = n.in(0), values = n.in(2);
  auto depth = n.in(1) ? Node::constantNumbersOf(n.in(1)) : std::nullopt;
  if (!indices || !values)
    return;
  if (!depth || depth->size() != 1 || depth->front() < 1 || depth->front() > 0x1p31) {
    n.fail() << "the depth of ONNX operator OneHot must be a positive constant";
    return;
  }
  int64_t rank = Build::rankOf(indices), size = static_cast<int64_t>(depth->front());
  int64_t axis = n.axis(n.intAttr("axis", -1), rank + 1);
  SmallVector<int64_t> wide(Build::shapeOf(indices)), positions(rank + 1, 1);
  wide.insert(wide.begin() + axis, 1);
  positions[axis] = size;
  Type i64 = IntegerType::get(n.context(), 64);
  Value wrapped = n.cast(indices, i64);
  wrapped =
      n.select(n.compare(nn::Predicate::Lt, wrapped, n.splat(0, i64)), n.add(wrapped, n.splat(size, i64)), wrapped);
  Value hot =
      n.compare(nn::Predicate::Eq, n.reshape(wrapped, wide), n.iota(RankedTensorType::get(positions, i64), axis, 0, 1));
  auto part = [&](int64_t i) { return n.reshape(n.slice(values, 0, i, 1), {}); };
  n.give(n.select(hot, part(1), part(0)));
}

/// Only of a constant: otherwise the result's shape is unknown.
void lowerNonZero(Node &n) {
  Value x = n.in(0);
  auto values = x ? Node::constantNumbersOf(x) : std::nullopt;
  if (!x)
    return;
  if (!values) {
    n.fail() << "ONNX operator NonZero has a result whose shape depends on the model's inputs, which is not supported";
    return;
  }
  SmallVector<SmallVector<int64_t>> positions(Build::rankOf(x));
  for (auto [i, value] : llvm::enumerate(*values)) {
    if (value == 0)
      continue;
    int64_t rest = i;
    for (int64_t d = Build::rankOf(x); d-- > 0; rest /= Build::shapeOf(x)[d])
      positions[d].push_back(rest % Build::shapeOf(x)[d]);
  }
  SmallVector<int64_t> flat;
  for (auto &dimension : positions)
    llvm::append_range(flat, dimension);
  int64_t rank = positions.size(), count = rank ? positions[0].size() : 0;
  n.give(n.reshape(n.constantInts(flat), {rank, count}));
}

} // namespace

void mpopt::onnx::addIndexing(LoweringTable &table) {
  table["Slice"] = lowerSlice;
  table["Gather"] = lowerGather;
  table["GatherElements"] = lowerGatherElements;
  table["GatherND"] = lowerGatherNd;
  table["ScatterND"] = lowerScatterNd;
  table["OneHot"] = lowerOneHot;
  table["NonZero"] = lowerNonZero;
}
