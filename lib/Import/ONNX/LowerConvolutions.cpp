// ONNX convolutions and pools.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

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

void lowerConv(Node &n) {
  Value x = n.in(0), weight = n.in(1);
  if (!x || !weight)
    return;
  auto w = readWindow(n, Build::shapeOf(weight).drop_front(std::min<int64_t>(2, Build::rankOf(weight))));
  if (!w)
    return;
  applyAutoPad(n, *w, Build::shapeOf(x).drop_front(2));
  SmallVector<Value> operands{x, weight};
  if (n.has(2))
    operands.push_back(n.opt(2));
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integer("groups", n.intAttr("group", 1)));
  n.give(n.make<nn::ConvOp>(operands, attributes));
}

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
  if (n.intAttr("ceil_mode", 0) && applyCeilMode(*w, sizes) && n.intAttr("count_include_pad", 0)) {
    n.fail() << "ONNX operator " << n.op << " with both ceil_mode and count_include_pad is not supported";
    return std::nullopt;
  }
  return w;
}

void lowerMaxPool(Node &n) {
  auto w = poolWindow(n);
  if (!w)
    return;
  if (n.wants(1)) {
    n.fail() << "ONNX operator MaxPool with its second result, the indices, is not supported";
    return;
  }
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("kernel", w->kernel));
  n.give(n.make<nn::MaxPoolOp>({n.in(0)}, attributes));
}

void lowerAveragePool(Node &n) {
  auto w = poolWindow(n);
  if (!w)
    return;
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("kernel", w->kernel));
  if (n.intAttr("count_include_pad", 0))
    attributes.push_back(n.unit("count_include_pad"));
  n.give(n.make<nn::AvgPoolOp>({n.in(0)}, attributes));
}

} // namespace

void mpopt::onnx::addConvolutions(LoweringTable &table) {
  table["Conv"] = lowerConv;
  table["ConvTranspose"] = lowerConvTranspose;
  table["MaxPool"] = lowerMaxPool;
  table["AveragePool"] = lowerAveragePool;
}
