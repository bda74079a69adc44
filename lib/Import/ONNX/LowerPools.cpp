// ONNX pools.
#include "Window.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// ceil_mode: one more position where a last, partial window begins before the end of the input and its leading padding.
void applyCeilMode(Window &w, ArrayRef<int64_t> sizes) {
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t room = sizes[i] + w.begin[i] + w.end[i] - w.extent(i);
    if (room < 0)
      continue;
    int64_t positions = (room + w.strides[i] - 1) / w.strides[i] + 1;
    if ((positions - 1) * w.strides[i] >= sizes[i] + w.begin[i])
      --positions;
    int64_t end = (positions - 1) * w.strides[i] + w.extent(i) - sizes[i] - w.begin[i];
    // A smaller end is the floor form's; only more padding changes the number of positions.
    if (end > w.end[i] || positions != room / w.strides[i] + 1)
      w.end[i] = end;
  }
}

/// The window of a pool; nullopt after an error.
std::optional<Window> poolWindow(Node &n) {
  Value x = n.in(0);
  auto kernel = n.intsAttr("kernel_shape");
  if (!x || !kernel) {
    if (x)
      n.fail() << "ONNX operator " << n.op << " lacks kernel_shape";
    return std::nullopt;
  }
  auto w = readWindow(n, *kernel, Build::rankOf(x) - 2);
  if (!w)
    return std::nullopt;
  ArrayRef<int64_t> sizes = Build::shapeOf(x).drop_front(2);
  applyAutoPad(n, *w, sizes);
  if (n.intAttr("ceil_mode", 0))
    applyCeilMode(*w, sizes);
  return w;
}

/// How far apart neighbours along each spatial dimension lie in memory, by rows or (as storage_order may ask) columns.
SmallVector<int64_t> distances(Node &n, ArrayRef<int64_t> sizes) {
  SmallVector<int64_t> result(sizes.size(), 1);
  bool columns = n.intAttr("storage_order", 0);
  for (size_t i = 1; i < sizes.size(); ++i) {
    size_t at = columns ? i : sizes.size() - 1 - i, before = columns ? at - 1 : at + 1;
    result[at] = result[before] * sizes[before];
  }
  return result;
}

/// Where in the whole input, counted through, each maximum lies: the first of its window.
Value maxIndices(Node &n, Value x, Value maxima, const Window &w) {
  ArrayRef<int64_t> shape = Build::shapeOf(x), result = Build::shapeOf(maxima), sizes = shape.drop_front(2);
  SmallVector<int64_t> low(2, 0), high(2, 0), far = distances(n, sizes), offsets, line(result), one{0, 0};
  llvm::append_range(low, w.begin);
  llvm::append_range(high, w.end);
  Value padded = n.make<nn::PadOp>(
      {x}, {n.integers("low", low), n.integers("high", high), n.number("value", -std::numeric_limits<float>::max())});
  SmallVector<int64_t> steps{1, 1}, wide(result);
  llvm::append_range(steps, w.strides);
  wide.push_back(1);
  SmallVector<Value> elements;
  for (int64_t k = 0, count = ShapedType::getNumElements(w.kernel); k < count; ++k) {
    SmallVector<int64_t> starts{0, 0};
    int64_t offset = 0, rest = k;
    for (int64_t i = static_cast<int64_t>(sizes.size()) - 1; i >= 0; --i) {
      int64_t start = rest % w.kernel[i] * w.dilations[i];
      rest /= w.kernel[i];
      starts.insert(starts.begin() + 2, start);
      offset += (start - w.begin[i]) * far[i];
    }
    offsets.push_back(offset);
    Value element = n.make<nn::SliceOp>(
        {padded}, {n.integers("starts", starts), n.integers("sizes", result), n.integers("steps", steps)});
    elements.push_back(n.reshape(element, wide));
  }
  int64_t rank = Build::rankOf(x), image = ShapedType::getNumElements(sizes);
  Value which = n.make<nn::ArgReduceOp>({n.concat(elements, rank)}, {n.integer("axis", rank)});
  Value index = n.gather(n.constantInts(offsets), which, 0);
  for (int64_t i = 0; i < rank && index; ++i) {
    SmallVector<int64_t> along(rank, 1);
    along[i] = result[i];
    int64_t step = i == 0 ? shape[1] * image : i == 1 ? image : w.strides[i - 2] * far[i - 2];
    index = n.add(index, n.iota(RankedTensorType::get(along, IntegerType::get(n.context(), 64)), i, 0,
                                static_cast<double>(step)));
  }
  return index;
}

void lowerMaxPool(Node &n) {
  auto w = poolWindow(n);
  if (!w)
    return;
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("kernel", w->kernel));
  Value x = widened(n, n.in(0)), maxima = n.make<nn::MaxPoolOp>({x}, attributes);
  SmallVector<Value> results{narrowed(n, maxima, n.in(0))};
  if (n.wants(1) && maxima)
    results.push_back(maxIndices(n, x, maxima, *w));
  n.give(std::move(results));
}

/// The inverse of MaxPool: each element goes where its index says, zeros elsewhere.
void lowerMaxUnpool(Node &n) {
  Value x = n.in(0), indices = n.in(1);
  auto w = poolWindow(n);
  if (!w || !indices)
    return;
  SmallVector<int64_t> shape(Build::shapeOf(x));
  for (size_t i = 0; i < w->kernel.size(); ++i)
    shape[i + 2] = (shape[i + 2] - 1) * w->strides[i] + w->kernel[i] - w->begin[i] - w->end[i];
  auto wanted = n.has(2) ? n.ints(2, "output_shape") : std::optional(shape);
  RankedTensorType type = n.hasFailed() ? nullptr : n.tensor(shape, Build::elementOf(x));
  int64_t count = Build::typeOf(x).getNumElements();
  if (!type)
    return;
  Value flat = n.splat(0, Build::elementOf(x), {type.getNumElements()});
  Value placed = n.make<nn::ScatterNdOp>({flat, n.reshape(indices, {count, 1}), n.reshape(x, {count})});
  SmallVector<int64_t> low(shape.size(), 0), high(low);
  for (size_t i = 0; i < shape.size() && wanted->size() == shape.size(); ++i)
    high[i] = (*wanted)[i] - shape[i];
  if (wanted->size() != shape.size() || llvm::any_of(high, [](int64_t more) { return more < 0 || more > INT32_MAX; }))
    return void(n.fail() << "output_shape of ONNX operator MaxUnpool does not fit " << x.getType());
  n.give(n.make<nn::PadOp>({n.reshape(placed, shape)},
                           {n.integers("low", low), n.integers("high", high), n.number("value", 0)}));
}

/// The pads at the end that the attributes ask for, without those of ceil_mode; the window's own where auto_pad made them.
SmallVector<int64_t> paddedEnds(Node &n, const Window &w) {
  auto pads = n.intsAttr("pads");
  if (!n.intAttr("ceil_mode", 0))
    return w.end;
  SmallVector<int64_t> none(w.end.size(), 0);
  return pads ? SmallVector<int64_t>(ArrayRef(*pads).drop_front(w.end.size())) : none;
}

void lowerAveragePool(Node &n) {
  auto w = poolWindow(n);
  if (!w)
    return;
  Value x = widened(n, n.in(0));
  bool counts = n.intAttr("count_include_pad", 0);
  // The pads that the model asks for count, those that rounding up adds do not: the former become real elements.
  if (SmallVector<int64_t> asked = paddedEnds(n, *w); counts && ArrayRef<int64_t>(asked) != ArrayRef<int64_t>(w->end)) {
    SmallVector<int64_t> low(2, 0), high(2, 0);
    llvm::append_range(low, w->begin);
    llvm::append_range(high, asked);
    x = n.make<nn::PadOp>({x}, {n.integers("low", low), n.integers("high", high), n.number("value", 0)});
    for (size_t i = 0; i < asked.size(); ++i) {
      w->begin[i] = 0;
      w->end[i] -= asked[i];
    }
    counts = false;
  }
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("kernel", w->kernel));
  if (counts)
    attributes.push_back(n.unit("count_include_pad"));
  n.give(narrowed(n, n.make<nn::AvgPoolOp>({x}, attributes), n.in(0)));
}

/// The p-norm of each window: (count * mean of |x|^p) ^ (1 / p), the padding counting as zeros.
void lowerLpPool(Node &n) {
  auto w = poolWindow(n);
  if (!w)
    return;
  Value x = n.in(0);
  double p = static_cast<double>(n.intAttr("p", 2)), count = static_cast<double>(ShapedType::getNumElements(w->kernel));
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("kernel", w->kernel));
  attributes.push_back(n.unit("count_include_pad"));
  Value powers = n.make<nn::PowOp>({n.make<nn::AbsOp>({x}), n.like(x, p)});
  Value sums = n.mul(n.make<nn::AvgPoolOp>({powers}, attributes), n.like(x, count));
  n.give(n.make<nn::PowOp>({sums, n.like(x, 1 / p)}));
}

} // namespace

void mpopt::onnx::addPools(LoweringTable &table) {
  table["MaxPool"] = lowerMaxPool;
  table["MaxUnpool"] = lowerMaxUnpool;
  table["AveragePool"] = lowerAveragePool;
  table["LpPool"] = lowerLpPool;
}
