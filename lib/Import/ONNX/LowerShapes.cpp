// ONNX operators that give a tensor another shape or make one.
#include "Node.h"
#include "Tensors.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

void lowerShape(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  ArrayRef<int64_t> shape = Build::shapeOf(x);
  int64_t rank = shape.size();
  auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  int64_t start = clamp(n.intAttr("start", 0)), end = clamp(n.intAttr("end", rank));
  n.give(n.constantInts(shape.slice(start, std::max<int64_t>(end - start, 0))));
}

void lowerSize(Node &n) {
  if (Value x = n.in(0))
    n.give(n.reshape(n.constantInts({Build::typeOf(x).getNumElements()}), {}));
}

/// The target of Reshape with 0 (copy) and -1 (the rest) resolved.
std::optional<SmallVector<int64_t>> resolveShape(Value x, ArrayRef<int64_t> target, bool allowZero) {
  ArrayRef<int64_t> from = Build::shapeOf(x);
  SmallVector<int64_t> shape(target);
  int64_t known = 1, open = -1;
  for (auto [i, size] : llvm::enumerate(shape)) {
    if (size == 0 && !allowZero) {
      if (i >= from.size())
        return std::nullopt;
      size = from[i];
    }
    if (size == -1 && open >= 0)
      return std::nullopt;
    if (size == -1)
      open = i;
    else if (size < 0 || (size > 0 && known > (int64_t(1) << 48) / size))
      return std::nullopt;
    else
      known *= size;
  }
  int64_t count = Build::typeOf(x).getNumElements();
  if (open >= 0)
    shape[open] = known ? count / known : 0;
  return shape;
}

void lowerReshape(Node &n) {
  Value x = n.in(0);
  auto target = n.intsOf("shape", 1);
  if (!x || !target)
    return;
  auto shape = resolveShape(x, *target, n.intAttr("allowzero", 0));
  if (!shape) {
    n.fail() << "cannot reshape " << x.getType() << " to [" << *target << "]";
    return;
  }
  n.give(n.reshape(x, *shape));
}

void lowerFlatten(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  ArrayRef<int64_t> shape = Build::shapeOf(x);
  int64_t axis = n.axis(n.intAttr("axis", 1), shape.size(), /*end=*/true);
  n.give(n.reshape(
      x, {ShapedType::getNumElements(shape.take_front(axis)), ShapedType::getNumElements(shape.drop_front(axis))}));
}

void lowerSqueeze(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  auto given = n.intsOf("axes", 1);
  SmallVector<int64_t> axes = n.axes(given.value_or(SmallVector<int64_t>()), Build::rankOf(x)), shape;
  for (auto [i, size] : llvm::enumerate(Build::shapeOf(x))) {
    bool listed = llvm::is_contained(axes, static_cast<int64_t>(i));
    if (listed && size != 1) {
      n.fail() << "cannot squeeze dimension " << i << " of " << x.getType();
      return;
    }
    if (given ? !listed : size != 1)
      shape.push_back(size);
  }
  n.give(n.reshape(x, shape));
}

void lowerUnsqueeze(Node &n) {
  Value x = n.in(0);
  auto given = n.intsOf("axes", 1);
  if (!x || !given)
    return;
  int64_t rank = Build::rankOf(x) + given->size();
  SmallVector<int64_t> axes = n.axes(*given, rank), shape(Build::shapeOf(x));
  if (axes.size() != given->size()) {
    n.fail() << "axes of ONNX operator Unsqueeze repeat";
    return;
  }
  for (int64_t axis : axes)
    shape.insert(shape.begin() + std::min<int64_t>(axis, shape.size()), 1);
  n.give(n.reshape(x, shape));
}

void lowerTranspose(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  auto permutation = n.intsAttr("perm");
  if (!permutation)
    permutation = llvm::to_vector(llvm::reverse(llvm::to_vector(llvm::seq<int64_t>(0, Build::rankOf(x)))));
  n.give(n.transpose(x, *permutation));
}

void lowerExpand(Node &n) {
  Value x = n.in(0);
  auto target = n.ints(1, "shape");
  if (!x || !target)
    return;
  auto shape = nn::broadcastShapes(Build::shapeOf(x), *target);
  if (!shape) {
    n.fail() << "cannot expand " << x.getType() << " to [" << *target << "]";
    return;
  }
  n.give(n.broadcast(x, *shape));
}

/// [a, b] repeated [p, q] times: [1, a, 1, b] broadcast to [p, a, q, b], then [p * a, q * b].
void lowerTile(Node &n) {
  Value x = n.in(0);
  auto repeats = n.ints(1, "repeats");
  if (!x || !repeats)
    return;
  if (static_cast<int64_t>(repeats->size()) != Build::rankOf(x)) {
    n.fail() << "ONNX operator Tile needs one repeat per dimension of " << x.getType();
    return;
  }
  SmallVector<int64_t> split, wide, shape;
  for (auto [size, repeat] : llvm::zip(Build::shapeOf(x), *repeats)) {
    if (repeat < 0) {
      n.fail() << "ONNX operator Tile has a negative repeat";
      return;
    }
    if (repeat != 1) {
      split.push_back(1);
      wide.push_back(repeat);
    }
    split.push_back(size);
    wide.push_back(size);
    shape.push_back(size * repeat);
  }
  if (n.tensor(shape, Build::elementOf(x)))
    n.give(n.reshape(n.broadcast(n.reshape(x, split), wide), shape));
}

void lowerConcat(Node &n) {
  SmallVector<Value> inputs;
  for (unsigned i = 0; i < n.inputs.size(); ++i)
    inputs.push_back(n.in(i));
  if (inputs.empty() || !inputs[0])
    return void(n.in(0));
  n.give(n.concat(inputs, n.axis(n.intAttr("axis", 1), Build::rankOf(inputs[0]))));
}

void lowerSplit(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  int64_t axis = n.axis(n.intAttr("axis", 0), Build::rankOf(x));
  if (n.hasFailed())
    return;
  int64_t size = Build::shapeOf(x)[axis], parts = n.intAttr("num_outputs", n.wanted.size());
  auto sizes = n.intsOf("split", 1);
  if (n.hasFailed())
    return;
  if (!sizes) {
    sizes.emplace();
    int64_t chunk = parts < 1 ? 0 : (size + parts - 1) / parts;
    for (int64_t i = 0, start = 0; i < std::min<int64_t>(parts, n.wanted.size()); ++i, start += chunk)
      sizes->push_back(std::clamp<int64_t>(size - start, 0, chunk));
  }
  SmallVector<Value> results;
  int64_t start = 0;
  for (int64_t part : *sizes) {
    results.push_back(n.slice(x, axis, start, part));
    start += part;
  }
  if (start != size && !n.hasFailed())
    n.fail() << "ONNX operator Split cuts " << size << " elements into parts that sum up to " << start;
  n.give(results);
}

/// Which element stands at `place` of a dimension of `size`, beyond its ends as the mode says.
int64_t paddedPlace(StringRef mode, int64_t place, int64_t size) {
  if (mode == "edge")
    return std::clamp<int64_t>(place, 0, size - 1);
  int64_t period = mode == "wrap" ? size : std::max<int64_t>(2 * size - 2, 1);
  int64_t phase = (place % period + period) % period;
  return phase < size ? phase : period - phase;
}

/// Pads that repeat elements: axis by axis, elements picked at fixed places.
Value padByElements(Node &n, Value x, StringRef mode, ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  constexpr int64_t kMostPlaces = 1 << 26; // each is listed
  auto fits = [](int64_t number) { return number >= -kMostPlaces && number <= kMostPlaces; };
  for (int64_t axis = 0; x && axis < Build::rankOf(x); ++axis) {
    if (low[axis] == 0 && high[axis] == 0)
      continue;
    int64_t size = Build::shapeOf(x)[axis];
    if (size == 0 || !fits(size) || !fits(low[axis]) || !fits(high[axis]) ||
        !n.tensor({size, low[axis] + high[axis] + size}, Build::elementOf(x))) {
      n.fail() << "ONNX operator Pad cannot pad dimension " << axis << " of " << x.getType() << " by " << low[axis]
               << " and " << high[axis]
               << " repeated elements; a dimension needs elements to repeat, and pads of at most " << kMostPlaces
               << ": correct 'pads'";
      return nullptr;
    }
    SmallVector<int64_t> places;
    for (int64_t i = -low[axis]; i < size + high[axis]; ++i)
      places.push_back(paddedPlace(mode, i, size));
    x = pick(n, x, axis, places);
  }
  return x;
}

void lowerPad(Node &n) {
  Value x = n.in(0);
  auto pads = n.intsOf("pads", 1);
  if (!x || !pads)
    return;
  std::string mode = n.textAttr("mode", "constant");
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap") {
    n.fail() << "ONNX operator Pad has no mode '" << mode << "'";
    return;
  }
  double value = n.floatAttr("value", 0);
  if (n.has(2)) {
    auto given = Node::constantNumbersOf(n.opt(2));
    if (!given || given->size() != 1) {
      n.fail() << "the value of ONNX operator Pad must be a constant";
      return;
    }
    value = given->front();
  }
  int64_t rank = Build::rankOf(x);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank)), low(rank, 0), high(rank, 0);
  if (auto given = n.ints(3, "axes"))
    axes = *given;
  if (pads->size() != 2 * axes.size()) {
    n.fail() << "ONNX operator Pad needs two pads per axis";
    return;
  }
  for (auto [i, given] : llvm::enumerate(axes)) {
    int64_t axis = n.axis(given, rank);
    if (n.hasFailed())
      return;
    low[axis] = (*pads)[i];
    high[axis] = (*pads)[axes.size() + i];
  }
  if (mode != "constant")
    return n.give(padByElements(n, x, mode, low, high));
  n.give(n.make<nn::PadOp>({x}, {n.integers("low", low), n.integers("high", high), n.number("value", value)}));
}

/// Small ranges are constants, large ones an iota.
void lowerRange(Node &n) {
  SmallVector<double> bounds;
  for (unsigned i = 0; i < 3; ++i) {
    auto value = n.in(i) ? Node::constantNumbersOf(n.in(i)) : std::nullopt;
    if (!value || value->size() != 1) {
      if (!n.hasFailed())
        n.fail()
            << "the bounds of ONNX operator Range must be known when the model is imported, but depend on its inputs";
      return;
    }
    bounds.push_back(value->front());
  }
  double count = bounds[2] == 0 ? -1 : std::max(std::ceil((bounds[1] - bounds[0]) / bounds[2]), 0.0);
  Type element = Build::elementOf(n.in(0));
  RankedTensorType type = count >= 0 && count < 0x1p40 ? n.tensor({static_cast<int64_t>(count)}, element) : nullptr;
  if (!type) {
    n.fail() << "ONNX operator Range has a step of 0 or too many elements";
    return;
  }
  n.give(n.iota(type, 0, bounds[0], bounds[2]));
}

void lowerConstantOfShape(Node &n) {
  auto shape = n.ints(0, "shape");
  if (!shape)
    return void(n.in(0));
  Value value = n.attributes.lookup("value").tensor;
  if (!value)
    value = n.splat(0, Float32Type::get(n.in(0).getContext()));
  n.give(n.broadcast(n.reshape(value, {}), *shape));
}

void lowerConstant(Node &n) {
  Builder b(n.context());
  for (auto &entry : n.attributes) {
    NodeAttribute &value = entry.second;
    StringRef name = entry.first();
    if (name == "value")
      return n.give(value.tensor);
    if (name == "value_int" && value.integer)
      return n.give(n.reshape(n.constantInts({*value.integer}), {}));
    if (name == "value_ints" && value.integers)
      return n.give(n.constantInts(*value.integers));
    if (name == "value_float" && value.number)
      return n.give(n.splat(*value.number, b.getF32Type()));
    if (name == "value_floats" && value.numbers) {
      SmallVector<float> floats(value.numbers->begin(), value.numbers->end());
      auto type = RankedTensorType::get(static_cast<int64_t>(floats.size()), b.getF32Type());
      return n.give(n.constant(DenseElementsAttr::get(type, ArrayRef<float>(floats))));
    }
  }
  n.fail() << "ONNX operator Constant has no value that is a tensor of numbers";
}

/// j - i >= k (upper: <= from the other side) of the last two dimensions selects x, else 0.
void lowerTrilu(Node &n) {
  Value x = n.in(0);
  auto given = n.ints(1, "diagonal");
  if (!x || n.hasFailed() || Build::rankOf(x) < 2)
    return;
  int64_t k = given && !given->empty() ? given->front() : 0;
  ArrayRef<int64_t> shape = Build::shapeOf(x).take_back(2);
  Type i64 = IntegerType::get(x.getContext(), 64);
  Value row = n.iota(RankedTensorType::get({shape[0], 1}, i64), 0, k, 1);
  Value column = n.iota(RankedTensorType::get({1, shape[1]}, i64), 1, 0, 1);
  auto predicate = n.intAttr("upper", 1) ? nn::Predicate::Ge : nn::Predicate::Le;
  n.give(n.select(n.compare(predicate, column, row), x, n.like(x, 0)));
}

/// Ones on the k-th diagonal of a matrix of x's shape.
void lowerEyeLike(Node &n) {
  Value x = n.in(0);
  if (!x || Build::rankOf(x) != 2)
    return;
  Type to = n.hasAttr("dtype") ? elementTypeOf(n.context(), n.intAttr("dtype", 0)) : Build::elementOf(x);
  Type i64 = IntegerType::get(n.context(), 64);
  ArrayRef<int64_t> shape = Build::shapeOf(x);
  Value row = n.iota(RankedTensorType::get({shape[0], 1}, i64), 0, static_cast<double>(n.intAttr("k", 0)), 1);
  Value column = n.iota(RankedTensorType::get({1, shape[1]}, i64), 1, 0, 1);
  if (to)
    n.give(n.cast(n.compare(nn::Predicate::Eq, row, column), to));
}

void lowerDepthToSpace(Node &n) {
  Value x = n.in(0);
  int64_t block = n.intAttr("blocksize", 1);
  if (!x)
    return;
  SmallVector<int64_t> s(Build::shapeOf(x));
  if (s.size() != 4 || block < 1 || s[1] % (block * block)) {
    n.fail() << "ONNX operator DepthToSpace does not fit " << x.getType();
    return;
  }
  int64_t channels = s[1] / (block * block);
  bool crd = n.textAttr("mode", "DCR") == "CRD";
  Value split = crd ? n.reshape(x, {s[0], channels, block, block, s[2], s[3]})
                    : n.reshape(x, {s[0], block, block, channels, s[2], s[3]});
  Value moved = crd ? n.transpose(split, {0, 1, 4, 2, 5, 3}) : n.transpose(split, {0, 3, 4, 1, 5, 2});
  n.give(n.reshape(moved, {s[0], channels, s[2] * block, s[3] * block}));
}

void lowerSpaceToDepth(Node &n) {
  Value x = n.in(0);
  int64_t block = n.intAttr("blocksize", 1);
  if (!x)
    return;
  SmallVector<int64_t> s(Build::shapeOf(x));
  if (s.size() != 4 || block < 1 || s[2] % block || s[3] % block) {
    n.fail() << "ONNX operator SpaceToDepth does not fit " << x.getType();
    return;
  }
  Value split = n.reshape(x, {s[0], s[1], s[2] / block, block, s[3] / block, block});
  bool crd = n.textAttr("mode", "DCR") == "CRD";
  Value moved = crd ? n.transpose(split, {0, 1, 3, 5, 2, 4}) : n.transpose(split, {0, 3, 5, 1, 2, 4});
  n.give(n.reshape(moved, {s[0], s[1] * block * block, s[2] / block, s[3] / block}));
}

} // namespace

void mpopt::onnx::addShapes(LoweringTable &table) {
  table["Shape"] = lowerShape;
  table["Size"] = lowerSize;
  table["Reshape"] = lowerReshape;
  table["Flatten"] = lowerFlatten;
  table["Squeeze"] = lowerSqueeze;
  table["Unsqueeze"] = lowerUnsqueeze;
  table["Transpose"] = lowerTranspose;
  table["Expand"] = lowerExpand;
  table["Tile"] = lowerTile;
  table["Concat"] = lowerConcat;
  table["Split"] = lowerSplit;
  table["Pad"] = lowerPad;
  table["Range"] = lowerRange;
  table["ConstantOfShape"] = lowerConstantOfShape;
  table["Constant"] = lowerConstant;
  table["Trilu"] = lowerTrilu;
  table["EyeLike"] = lowerEyeLike;
  table["DepthToSpace"] = lowerDepthToSpace;
  table["SpaceToDepth"] = lowerSpaceToDepth;
}
