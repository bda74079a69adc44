// ONNX operators that pick or place elements by position.
#include "Node.h"
#include "llvm/ADT/StringSwitch.h"

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
  if (x && isRunSlice(n))
    return n.give(runOf(n));
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

/// What combines elements with their updates; nothing where updates take their places (and after an error).
std::optional<nn::ReduceKind> reductionOf(Node &n) {
  std::string name = n.textAttr("reduction", "none");
  auto kind = llvm::StringSwitch<std::optional<nn::ReduceKind>>(name)
                  .Case("add", nn::ReduceKind::Sum)
                  .Case("mul", nn::ReduceKind::Prod)
                  .Case("max", nn::ReduceKind::Max)
                  .Case("min", nn::ReduceKind::Min)
                  .Default(std::nullopt);
  if (!kind && name != "none")
    n.fail() << "ONNX operator " << n.op << " has no reduction '" << name << "'; there are none, add, mul, max and min";
  return kind;
}

Value scatter(Node &n, Value x, Value indices, Value updates) {
  SmallVector<NamedAttribute> attributes;
  if (auto reduction = reductionOf(n))
    attributes.push_back({"reduction", nn::ReduceKindAttr::get(n.context(), *reduction)});
  return n.make<nn::ScatterNdOp>({x, indices, updates}, attributes);
}

Value combine(Node &n, std::optional<nn::ReduceKind> reduction, Value x, Value update) {
  if (!reduction)
    return update;
  switch (*reduction) {
  case nn::ReduceKind::Sum:
    return n.add(x, update);
  case nn::ReduceKind::Prod:
    return n.mul(x, update);
  case nn::ReduceKind::Max:
    return n.make<nn::MaxOp>({x, update});
  default:
    return n.make<nn::MinOp>({x, update});
  }
}

void lowerScatterNd(Node &n) { n.give(scatter(n, n.in(0), n.in(1), n.in(2))); }

/// A few updates along the axis of whole lines: each is chosen where its index is the element's position, so that lines stay apart.
Value scatterInLines(Node &n, Value x, Value indices, Value updates, int64_t axis) {
  int64_t rank = Build::rankOf(x), size = Build::shapeOf(x)[axis];
  SmallVector<int64_t> line(rank, 1);
  line[axis] = size;
  Value places = n.iota(RankedTensorType::get(line, Build::elementOf(indices)), axis, 0, 1);
  indices = fromStart(n, indices, size);
  auto reduction = reductionOf(n);
  for (int64_t i = 0, count = Build::shapeOf(updates)[axis]; i < count && !n.hasFailed(); ++i) {
    Value isHere = n.compare(nn::Predicate::Eq, n.slice(indices, axis, i, 1), places);
    Value update = combine(n, reduction, x, n.slice(updates, axis, i, 1));
    x = n.select(isHere, update, x);
  }
  return x;
}

/// Whether there are few updates per line, and some for each.
bool areFewInLines(Value x, Value indices, Value updates, int64_t axis) {
  constexpr int64_t kMost = 8;
  SmallVector<int64_t> all(Build::shapeOf(x)), given(Build::shapeOf(updates));
  if (all.size() != given.size() || Build::shapeOf(indices) != Build::shapeOf(updates) || given[axis] > kMost)
    return false;
  all[axis] = given[axis] = 1;
  return all == given;
}

/// ScatterND at [.., i, ..] with the index put in place of the axis' own position.
void lowerScatterElements(Node &n) {
  Value x = n.in(0), indices = n.in(1), updates = n.in(2);
  if (!x || !indices || !updates)
    return;
  int64_t rank = Build::rankOf(x), axis = n.axis(n.intAttr("axis", 0), rank);
  if (!n.hasFailed() && rank > 1 && areFewInLines(x, indices, updates, axis))
    return n.give(scatterInLines(n, x, indices, updates, axis));
  SmallVector<int64_t> shape(Build::shapeOf(indices)), wide(shape);
  if (n.hasFailed() || static_cast<int64_t>(shape.size()) != rank)
    return;
  wide.push_back(1);
  Type i64 = IntegerType::get(n.context(), 64);
  SmallVector<Value> places;
  for (int64_t d = 0; d < rank; ++d) {
    SmallVector<int64_t> line(rank + 1, 1);
    line[d] = shape[d];
    places.push_back(d == axis ? n.reshape(n.cast(indices, i64), wide)
                               : n.broadcast(n.iota(RankedTensorType::get(line, i64), d, 0, 1), wide));
  }
  n.give(scatter(n, x, n.concat(places, rank), updates));
}

/// Elements along the axis (without one, of the flattened tensor) where the condition, a constant, holds.
void lowerCompress(Node &n) {
  Value x = n.in(0);
  auto condition = n.in(1) ? n.ints(1, "condition") : std::nullopt;
  if (!x || !condition)
    return;
  if (!n.hasAttr("axis"))
    x = n.reshape(x, {Build::typeOf(x).getNumElements()});
  int64_t axis = n.axis(n.intAttr("axis", 0), Build::rankOf(x));
  SmallVector<int64_t> places;
  for (auto [i, holds] : llvm::enumerate(*condition))
    if (holds)
      places.push_back(static_cast<int64_t>(i));
  n.give(pick(n, x, axis, places));
}

/// The cache with an update written along the axis (-2), from a place per row on, modulo its length if circular.
void lowerTensorScatter(Node &n) {
  Value cache = n.in(0), update = n.in(1), starts = n.opt(2);
  if (!cache || !update)
    return;
  int64_t rank = Build::rankOf(cache), axis = n.axis(n.intAttr("axis", -2), rank);
  if (n.hasFailed() || Build::rankOf(update) != rank || axis == 0)
    return;
  int64_t length = Build::shapeOf(cache)[axis], count = Build::shapeOf(update)[axis];
  SmallVector<int64_t> line(rank, 1), row(rank, 1);
  line[axis] = length;
  row[0] = Build::shapeOf(cache)[0];
  Type i64 = IntegerType::get(n.context(), 64);
  Value from = n.iota(RankedTensorType::get(line, i64), axis, 0, 1);
  if (starts)
    from = n.sub(from, n.reshape(n.cast(starts, i64), row));
  if (n.textAttr("mode", "linear") == "circular")
    from = n.make<nn::ModOp>({from, n.like(from, static_cast<double>(length))});
  Value last = n.like(from, static_cast<double>(count - 1)), zero = n.like(from, 0);
  Value written =
      n.make<nn::AndOp>({n.compare(nn::Predicate::Ge, from, zero), n.compare(nn::Predicate::Le, from, last)});
  Value place = n.make<nn::MaxOp>({n.make<nn::MinOp>({from, last}), zero});
  Value taken =
      n.make<nn::GatherElementsOp>({update, n.broadcast(place, Build::shapeOf(cache))}, {n.integer("axis", axis)});
  n.give(n.select(written, taken, cache));
}

/// The first lens[b] elements along the time axis in reverse, the rest as they are.
void lowerReverseSequence(Node &n) {
  Value x = n.in(0), lengths = n.in(1);
  if (!x || !lengths)
    return;
  int64_t rank = Build::rankOf(x), time = n.axis(n.intAttr("time_axis", 0), rank);
  int64_t batch = n.axis(n.intAttr("batch_axis", 1), rank);
  if (n.hasFailed() || time == batch)
    return;
  SmallVector<int64_t> line(rank, 1), row(rank, 1);
  line[time] = Build::shapeOf(x)[time];
  row[batch] = Build::shapeOf(x)[batch];
  Type i64 = IntegerType::get(n.context(), 64);
  Value place = n.iota(RankedTensorType::get(line, i64), time, 0, 1);
  Value length = n.reshape(n.cast(lengths, i64), row);
  Value mirrored = n.sub(n.sub(length, place), n.splat(1, i64));
  Value from = n.select(n.compare(nn::Predicate::Lt, place, length), mirrored, place);
  n.give(n.make<nn::GatherElementsOp>({x, n.broadcast(from, Build::shapeOf(x))}, {n.integer("axis", time)}));
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
  Value wrapped = fromStart(n, n.cast(indices, i64), size);
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
    n.fail() << "ONNX operator NonZero has a result whose shape depends on the model's inputs, which is not supported"
             << kExportAnew;
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

Value mpopt::onnx::fromStart(Node &n, Value places, int64_t size) {
  Value isBehind = n.compare(nn::Predicate::Lt, places, n.like(places, 0));
  return n.select(isBehind, n.add(places, n.like(places, static_cast<double>(size))), places);
}

void mpopt::onnx::addIndexing(LoweringTable &table) {
  table["Slice"] = lowerSlice;
  table["Gather"] = lowerGather;
  table["GatherElements"] = lowerGatherElements;
  table["GatherND"] = lowerGatherNd;
  table["ScatterND"] = lowerScatterNd;
  table["ScatterElements"] = table["Scatter"] = lowerScatterElements;
  table["TensorScatter"] = lowerTensorScatter;
  table["Compress"] = lowerCompress;
  table["ReverseSequence"] = lowerReverseSequence;
  table["OneHot"] = lowerOneHot;
  table["NonZero"] = lowerNonZero;
}
