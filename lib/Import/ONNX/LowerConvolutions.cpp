// ONNX convolutions and pools.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// Convolutions and pools compute in f32 where the model holds numbers of 8 or 16 bits.
Value widened(Node &n, Value x) {
  return x && Build::elementOf(x).getIntOrFloatBitWidth() <= 16 ? n.cast(x, Float32Type::get(n.context())) : x;
}

/// `result` of widened operands in the element type of `like`.
Value narrowed(Node &n, Value result, Value like) { return result ? n.cast(result, Build::elementOf(like)) : result; }

/// Window parameters of one operator, per spatial dimension.
struct Window {
  SmallVector<int64_t> kernel, strides, dilations, begin, end;

  SmallVector<NamedAttribute> attributes(Node &n) const {
    return {n.integers("strides", strides), n.integers("dilations", dilations), n.integers("pads_begin", begin),
            n.integers("pads_end", end)};
  }
  int64_t extent(size_t i) const { return dilations[i] * (kernel[i] - 1) + 1; }
};

/// Reads strides, dilations and pads; `kernel` from the attribute or the weight. nullopt after an error.
std::optional<Window> readWindow(Node &n, ArrayRef<int64_t> kernel) {
  size_t rank = kernel.size();
  Window w{SmallVector<int64_t>(kernel),
           n.intsAttr("strides").value_or(SmallVector<int64_t>(rank, 1)),
           n.intsAttr("dilations").value_or(SmallVector<int64_t>(rank, 1)),
           {},
           {}};
  SmallVector<int64_t> pads = n.intsAttr("pads").value_or(SmallVector<int64_t>(2 * rank, 0));
  auto positive = [](ArrayRef<int64_t> values) {
    return llvm::all_of(values, [](int64_t v) { return v > 0 && v < INT32_MAX; });
  };
  bool padsFit = llvm::all_of(pads, [](int64_t pad) { return std::abs(pad) < INT32_MAX; });
  if (Build::rankOf(n.in(0)) != static_cast<int64_t>(rank) + 2 || w.strides.size() != rank ||
      w.dilations.size() != rank || pads.size() != 2 * rank || !positive(w.kernel) || !positive(w.strides) ||
      !positive(w.dilations) || !padsFit) {
    n.fail() << "kernel_shape, strides, dilations or pads of ONNX operator " << n.op << " do not fit "
             << n.in(0).getType();
    return std::nullopt;
  }
  w.begin.assign(pads.begin(), pads.begin() + rank);
  w.end.assign(pads.begin() + rank, pads.end());
  return w;
}

/// auto_pad: SAME_* pads so that there are ceil(size / stride) positions, the odd element after (UPPER) or before.
void applyAutoPad(Node &n, Window &w, ArrayRef<int64_t> sizes) {
  std::string mode = n.textAttr("auto_pad", "NOTSET");
  if (mode == "NOTSET" || mode == "")
    return;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t positions = (sizes[i] + w.strides[i] - 1) / w.strides[i];
    int64_t total = mode == "VALID" ? 0 : std::max<int64_t>((positions - 1) * w.strides[i] + w.extent(i) - sizes[i], 0);
    w.begin[i] = mode == "SAME_LOWER" ? total - total / 2 : total / 2;
    w.end[i] = total - w.begin[i];
  }
}

/// ceil_mode: one more position where a last, partial window begins before the end of the input and its leading padding.
/// Returns whether any dimension grew.
bool applyCeilMode(Window &w, ArrayRef<int64_t> sizes) {
  bool grew = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t room = sizes[i] + w.begin[i] + w.end[i] - w.extent(i);
    if (room < 0)
      continue;
    int64_t positions = (room + w.strides[i] - 1) / w.strides[i] + 1;
    if ((positions - 1) * w.strides[i] >= sizes[i] + w.begin[i])
      --positions;
    int64_t end = (positions - 1) * w.strides[i] + w.extent(i) - sizes[i] - w.begin[i];
    grew |= end > w.end[i];
    // A smaller end is the floor form's; only more padding changes the number of positions.
    if (end > w.end[i] || positions != room / w.strides[i] + 1)
      w.end[i] = end;
  }
  return grew;
}

void lowerConv(Node &n) { n.give(convolve(n, n.in(0), n.in(1), n.opt(2))); }

void lowerConvTranspose(Node &n) {
  Value x = n.in(0), weight = n.in(1);
  if (!x || !weight)
    return;
  auto w = readWindow(n, Build::shapeOf(weight).drop_front(std::min<int64_t>(2, Build::rankOf(weight))));
  if (!w)
    return;
  size_t rank = w->kernel.size();
  SmallVector<int64_t> extra = n.intsAttr("output_padding").value_or(SmallVector<int64_t>(rank, 0));
  auto shape = n.intsAttr("output_shape");
  std::string mode = n.textAttr("auto_pad", "NOTSET");
  if (extra.size() != rank || (shape && shape->size() < rank)) {
    n.fail() << "output_padding or output_shape of ONNX operator ConvTranspose does not fit " << x.getType();
    return;
  }
  for (size_t i = 0; i < rank && (shape || (mode != "NOTSET" && mode != "VALID")); ++i) {
    int64_t size = Build::shapeOf(x)[i + 2];
    int64_t wanted = shape ? (*shape)[shape->size() - rank + i] : size * w->strides[i];
    int64_t total = w->strides[i] * (size - 1) + extra[i] + w->extent(i) - wanted;
    extra[i] += std::max<int64_t>(-total, 0);
    total = std::max<int64_t>(total, 0);
    w->begin[i] = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
    w->end[i] = total - w->begin[i];
  }
  SmallVector<Value> operands{x, weight};
  if (n.has(2))
    operands.push_back(n.opt(2));
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("output_padding", extra));
  attributes.push_back(n.integer("groups", n.intAttr("group", 1)));
  n.give(n.make<nn::ConvTransposeOp>(operands, attributes));
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
  auto w = readWindow(n, *kernel);
  if (!w)
    return std::nullopt;
  ArrayRef<int64_t> sizes = Build::shapeOf(x).drop_front(2);
  applyAutoPad(n, *w, sizes);
  if (n.intAttr("ceil_mode", 0))
    applyCeilMode(*w, sizes);
  return w;
}

void lowerMaxPool(Node &n) {
  auto w = poolWindow(n);
  if (!w)
    return;
  if (n.wants(1)) {
    n.fail() << "ONNX operator MaxPool with its second result, the indices, is not supported" << kExportAnew;
    return;
  }
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("kernel", w->kernel));
  n.give(narrowed(n, n.make<nn::MaxPoolOp>({widened(n, n.in(0))}, attributes), n.in(0)));
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

Value mpopt::onnx::convolve(Node &n, Value x, Value weight, Value bias) {
  if (!x || !weight)
    return nullptr;
  auto w = readWindow(n, Build::shapeOf(weight).drop_front(std::min<int64_t>(2, Build::rankOf(weight))));
  if (!w)
    return nullptr;
  applyAutoPad(n, *w, Build::shapeOf(x).drop_front(2));
  SmallVector<Value> operands{widened(n, x), widened(n, weight)};
  if (bias)
    operands.push_back(widened(n, bias));
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integer("groups", n.intAttr("group", 1)));
  return narrowed(n, n.make<nn::ConvOp>(operands, attributes), x);
}

void mpopt::onnx::addConvolutions(LoweringTable &table) {
  table["Conv"] = lowerConv;
  table["ConvTranspose"] = lowerConvTranspose;
  table["MaxPool"] = lowerMaxPool;
  table["AveragePool"] = lowerAveragePool;
  table["LpPool"] = lowerLpPool;
}
