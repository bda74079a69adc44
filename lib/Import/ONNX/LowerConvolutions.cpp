// ONNX convolutions.
#include "Window.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

Value mpopt::onnx::widened(Node &n, Value x) {
  return x && Build::elementOf(x).getIntOrFloatBitWidth() <= 16 ? n.cast(x, Float32Type::get(n.context())) : x;
}

Value mpopt::onnx::narrowed(Node &n, Value result, Value like) {
  return result ? n.cast(result, Build::elementOf(like)) : result;
}

std::optional<Window> mpopt::onnx::readWindow(Node &n, ArrayRef<int64_t> kernel, int64_t dimensions) {
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
  bool padsFit = llvm::all_of(pads, [](int64_t pad) { return pad > -INT32_MAX && pad < INT32_MAX; });
  if (dimensions != static_cast<int64_t>(rank) || w.strides.size() != rank || w.dilations.size() != rank ||
      pads.size() != 2 * rank || !positive(w.kernel) || !positive(w.strides) || !positive(w.dilations) || !padsFit) {
    n.fail() << "shape of the kernel, strides, dilations or pads of ONNX operator " << n.op << " do not fit "
             << n.in(0).getType();
    return std::nullopt;
  }
  w.begin.assign(pads.begin(), pads.begin() + rank);
  w.end.assign(pads.begin() + rank, pads.end());
  return w;
}

void mpopt::onnx::applyAutoPad(Node &n, Window &w, ArrayRef<int64_t> sizes) {
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

namespace {

void lowerConv(Node &n) { n.give(convolve(n, n.in(0), n.in(1), n.opt(2))); }

void lowerConvTranspose(Node &n) {
  Value x = n.in(0), weight = n.in(1);
  if (!x || !weight)
    return;
  auto w = readWindow(n, Build::shapeOf(weight).drop_front(std::min<int64_t>(2, Build::rankOf(weight))),
                      Build::rankOf(x) - 2);
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

/// Blocks [batch, channels * block, number] added up at their places in an image: a transposed convolution that takes each
/// element of a block to its place.
void lowerCol2Im(Node &n) {
  constexpr uint64_t kMostPlaces = uint64_t(1) << 26;
  Value x = n.in(0);
  auto image = n.ints(1, "image_shape"), block = n.ints(2, "block_shape");
  if (!x || !image || !block)
    return;
  auto w = readWindow(n, *block, static_cast<int64_t>(image->size()));
  if (!w)
    return;
  uint64_t elements = 1, grid = 1;
  SmallVector<int64_t> shape(Build::shapeOf(x).take_front(2)), extra;
  bool fits = Build::rankOf(x) == 3;
  for (size_t i = 0; i < image->size() && fits; ++i) {
    int64_t size = (*image)[i], room = std::min<int64_t>(size, INT32_MAX) + w->begin[i] + w->end[i] - w->extent(i);
    fits = size > 0 && size < INT32_MAX && room >= 0;
    shape.push_back(room / w->strides[i] + 1);
    extra.push_back(room % w->strides[i]);
    grid = llvm::SaturatingMultiply(grid, static_cast<uint64_t>(shape.back()));
    elements = llvm::SaturatingMultiply(elements, static_cast<uint64_t>((*block)[i]));
  }
  uint64_t channels = fits ? shape[1] : 0;
  if (!fits || grid != static_cast<uint64_t>(Build::shapeOf(x)[2]) || channels % elements != 0)
    return void(n.fail() << "image_shape, block_shape, strides, dilations or pads of ONNX operator Col2Im do not fit "
                         << x.getType());
  if (llvm::SaturatingMultiply(channels, elements) > kMostPlaces)
    return void(n.fail() << "ONNX operator Col2Im has too large blocks in " << x.getType());
  SmallVector<int64_t> weightShape{static_cast<int64_t>(channels), 1};
  llvm::append_range(weightShape, *block);
  std::vector<float> places(channels * elements, 0);
  for (uint64_t c = 0; c < channels; ++c)
    places[c * elements + c % elements] = 1;
  auto weightType = RankedTensorType::get(weightShape, Float32Type::get(n.context()));
  Value weight = n.constant(DenseElementsAttr::get(weightType, ArrayRef<float>(places)));
  SmallVector<NamedAttribute> attributes = w->attributes(n);
  attributes.push_back(n.integers("output_padding", extra));
  attributes.push_back(n.integer("groups", static_cast<int64_t>(channels / elements)));
  Value wide = widened(n, n.reshape(x, shape));
  n.give(narrowed(n, n.make<nn::ConvTransposeOp>({wide, n.cast(weight, Build::elementOf(wide))}, attributes), x));
}

} // namespace

Value mpopt::onnx::convolve(Node &n, Value x, Value weight, Value bias) {
  if (!x || !weight)
    return nullptr;
  auto w = readWindow(n, Build::shapeOf(weight).drop_front(std::min<int64_t>(2, Build::rankOf(weight))),
                      Build::rankOf(x) - 2);
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
  table["Col2Im"] = lowerCol2Im;
}
