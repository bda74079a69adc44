// ONNX convolutions.
#include "Window.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

Value mpopt::onnx::widened(Node &n, Value x) {
  return x && Build::elementOf(x).getIntOrFloatBitWidth() <= 16 ? n.cast(x, Float32Type::get(n.context())) : x;
}

Value mpopt::onnx::narrowed(Node &n, Value result, Value like) {
  return result ? n.cast(result, Build::elementOf(like)) : result;
}

std::optional<Window> mpopt::onnx::readWindow(Node &n, ArrayRef<int64_t> kernel) {
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

/// Blocks [batch, channels * block, number] added up at their places in an image: a transposed convolution that takes each
/// element of a block to its place.
void lowerCol2Im(Node &n) {
  Value x = n.in(0);
  auto image = n.ints(1, "image_shape"), block = n.ints(2, "block_shape");
  if (!x || !image || !block)
    return;
  size_t rank = block->size();
  int64_t elements = 1, grid = 1;
  SmallVector<int64_t> shape{Build::shapeOf(x).front(), 0}, extra;
  for (int64_t size : *block)
    elements = size > 0 && elements <= INT32_MAX / size ? elements * size : INT64_MAX;
  bool fits =
      Build::rankOf(x) == 3 && image->size() == rank && elements <= INT32_MAX && Build::shapeOf(x)[1] % elements == 0;
  Value spatial = fits ? n.reshape(x, {shape[0], Build::shapeOf(x)[1], Build::shapeOf(x)[2]}) : Value();
  SmallVector<int64_t> ones(rank, 1);
  Window w{*block, n.intsAttr("strides").value_or(ones), n.intsAttr("dilations").value_or(ones), {}, {}};
  SmallVector<int64_t> pads = n.intsAttr("pads").value_or(SmallVector<int64_t>(2 * rank, 0));
  fits = fits && w.strides.size() == rank && w.dilations.size() == rank && pads.size() == 2 * rank;
  for (size_t i = 0; i < rank && fits; ++i) {
    w.begin.push_back(pads[i]);
    w.end.push_back(pads[rank + i]);
    int64_t room = (*image)[i] + w.begin[i] + w.end[i] - w.extent(i);
    fits = w.strides[i] > 0 && room >= 0;
    shape.push_back(fits ? room / w.strides[i] + 1 : 0);
    extra.push_back(fits ? room % w.strides[i] : 0);
    grid *= shape.back();
  }
  if (!fits || !spatial || grid != Build::shapeOf(x)[2])
    return void(n.fail() << "image_shape, block_shape, strides, dilations or pads of ONNX operator Col2Im do not fit "
                         << x.getType());
  int64_t channels = shape[1] = Build::shapeOf(x)[1];
  SmallVector<int64_t> weightShape{channels, 1};
  llvm::append_range(weightShape, *block);
  std::vector<float> places(channels * elements, 0);
  for (int64_t c = 0; c < channels; ++c)
    places[c * elements + c % elements] = 1;
  auto weightType = RankedTensorType::get(weightShape, Float32Type::get(n.context()));
  Value weight = n.constant(DenseElementsAttr::get(weightType, ArrayRef<float>(places)));
  SmallVector<NamedAttribute> attributes = w.attributes(n);
  attributes.push_back(n.integers("output_padding", extra));
  attributes.push_back(n.integer("groups", channels / elements));
  Value wide = widened(n, n.reshape(x, shape));
  n.give(narrowed(n, n.make<nn::ConvTransposeOp>({wide, n.cast(weight, Build::elementOf(wide))}, attributes), x));
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
  table["Col2Im"] = lowerCol2Im;
}
