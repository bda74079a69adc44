#include "ConvForms.h"
#include "Evaluator.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

static ArrayRef<int64_t> shapeOf(Value value) { return tensorType(value).getShape(); }

Value mpopt::codegen::reshaped(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> shape) {
  RankedTensorType type = tensorType(value).clone(shape);
  return type == value.getType() ? value : Value(nn::ReshapeOp::create(b, loc, type, value));
}

Value mpopt::codegen::transposed(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> order) {
  if (llvm::is_sorted(order))
    return value;
  RankedTensorType type = tensorType(value);
  SmallVector<int64_t> shape = llvm::map_to_vector(order, [&](int64_t d) { return type.getDimSize(d); });
  RankedTensorType result = type.clone(shape);
  if (auto constant = value.getDefiningOp<nn::ConstantOp>(); constant && splatOf(value))
    return nn::ConstantOp::create(b, loc, result, cast<DenseElementsAttr>(constant.getValue()).resizeSplat(result));
  SmallVector<int64_t> moved(order);
  llvm::erase_if(moved, [&](int64_t d) { return type.getDimSize(d) == 1; });
  if (llvm::is_sorted(moved))
    return nn::ReshapeOp::create(b, loc, result, value);
  return nn::TransposeOp::create(b, loc, result, value, b.getDenseI64ArrayAttr(order));
}

static Value padded(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  auto isZero = [](int64_t size) { return size == 0; };
  if (llvm::all_of(low, isZero) && llvm::all_of(high, isZero))
    return value;
  SmallVector<int64_t> shape(shapeOf(value));
  for (size_t d = 0; d < shape.size(); ++d)
    shape[d] += low[d] + high[d];
  return nn::PadOp::create(b, loc, tensorType(value).clone(shape), value, b.getDenseI64ArrayAttr(low),
                           b.getDenseI64ArrayAttr(high), b.getF64FloatAttr(0.0));
}

namespace {

/// A convolution of an image with channels last.
struct Form {
  Value input, weight; ///< weight: [o, c / groups, k..]
  SmallVector<int64_t> strides, dilations, begin, end;
  int64_t groups;
  RankedTensorType result; ///< channels last

  ArrayRef<int64_t> taps() const { return shapeOf(weight).drop_front(2); }
  bool isProduct() const {
    auto all = [](ArrayRef<int64_t> values, int64_t value) {
      return llvm::all_of(values, [&](int64_t v) { return v == value; });
    };
    return groups == 1 && all(taps(), 1) && all(strides, 1) && all(begin, 0) && all(end, 0);
  }
  bool isDepthwise() const { return groups > 1 && groups == shapeOf(weight)[0] && shapeOf(weight)[1] == 1; }
};

} // namespace

/// Weights [o, c / groups, k..] as [groups, panels, k.., c / groups, panel].
static Value packedWeight(OpBuilder &b, Location loc, const Form &form, int64_t panel) {
  ArrayRef<int64_t> shape = shapeOf(form.weight), taps = form.taps();
  int64_t perGroup = shape[0] / form.groups, panels = llvm::divideCeil(perGroup, panel);
  SmallVector<int64_t> grouped{form.groups, perGroup, shape[1]}, low(taps.size() + 3, 0), high(low);
  llvm::append_range(grouped, taps);
  high[1] = panels * panel - perGroup;
  Value weight = padded(b, loc, reshaped(b, loc, form.weight, grouped), low, high);
  SmallVector<int64_t> split{form.groups, panels, panel, shape[1]}, order{0, 1};
  llvm::append_range(split, taps);
  for (size_t d = 0; d < taps.size(); ++d)
    order.push_back(4 + d);
  order.append({3, 2});
  return transposed(b, loc, reshaped(b, loc, weight, split), order);
}

static Value build(OpBuilder &b, Location loc, const Form &form, const CpuTarget &target) {
  ArrayRef<int64_t> weight = shapeOf(form.weight), taps = form.taps();
  if (form.isProduct()) {
    Value matrix = transposed(b, loc, reshaped(b, loc, form.weight, weight.take_front(2)), {1, 0});
    return nn::MatmulOp::create(b, loc, form.result, form.input, matrix);
  }
  auto strides = b.getDenseI64ArrayAttr(form.strides), dilations = b.getDenseI64ArrayAttr(form.dilations),
       begin = b.getDenseI64ArrayAttr(form.begin), end = b.getDenseI64ArrayAttr(form.end);
  if (form.isDepthwise()) {
    SmallVector<int64_t> shape{form.groups}, order;
    llvm::append_range(shape, taps);
    llvm::append_range(order, llvm::seq<int64_t>(1, taps.size() + 1));
    order.push_back(0);
    Value windows = transposed(b, loc, reshaped(b, loc, form.weight, shape), order);
    return nn::DepthwiseConvOp::create(b, loc, form.result, form.input, windows, strides, dilations, begin, end);
  }
  int64_t panel = target.convPanelWidth(weight[0] / form.groups, form.result.getShape().end()[-2]);
  return nn::PackedConvOp::create(b, loc, form.result, form.input, packedWeight(b, loc, form, panel),
                                  b.getI64IntegerAttr(weight[0]), strides, dilations, begin, end);
}

/// [n, c, spatial..] as [n, spatial.., c].
static RankedTensorType withChannelsLast(Value value) {
  SmallVector<int64_t> shape(shapeOf(value));
  std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  return tensorType(value).clone(shape);
}

Value mpopt::codegen::convolve(OpBuilder &b, nn::ConvOp op, Value input, const CpuTarget &target) {
  auto copy = [](ArrayRef<int64_t> values) { return SmallVector<int64_t>(values); };
  return build(b, op.getLoc(),
               {input, op.getWeight(), copy(op.getStrides()), copy(op.getDilations()), copy(op.getPadsBegin()),
                copy(op.getPadsEnd()), int64_t(op.getGroups()), withChannelsLast(op.getResult())},
               target);
}

//===----------------------------------------------------------------------===//
// Transposed convolution
//===----------------------------------------------------------------------===//

/// Whether every result element comes from one input element.
static bool tiles(nn::ConvTransposeOp op) {
  auto isZero = [](int64_t value) { return value == 0; };
  return op.getGroups() == 1 && op.getStrides() == shapeOf(op.getWeight()).drop_front(2) &&
         llvm::all_of(op.getDilations(), [](int64_t d) { return d == 1; }) && llvm::all_of(op.getPadsBegin(), isZero) &&
         llvm::all_of(op.getPadsEnd(), isZero) && llvm::all_of(op.getOutputPadding(), isZero);
}

static Value tilesOf(OpBuilder &b, nn::ConvTransposeOp op, Value input) {
  Location loc = op.getLoc();
  ArrayRef<int64_t> weight = shapeOf(op.getWeight()), taps = weight.drop_front(2);
  // [c, o, k..] as [c, k.., o], a matrix.
  SmallVector<int64_t> order{0};
  llvm::append_range(order, llvm::seq<int64_t>(2, weight.size()));
  order.push_back(1);
  int64_t columns = tensorType(op.getWeight()).getNumElements() / weight[0];
  Value matrix = reshaped(b, loc, transposed(b, loc, op.getWeight(), order), {weight[0], columns});
  SmallVector<int64_t> shape(shapeOf(input));
  shape.back() = columns;
  Value tiles = nn::MatmulOp::create(b, loc, tensorType(input).clone(shape), input, matrix);
  // [n, s.., k.., o], where each k follows its s.
  shape.pop_back();
  llvm::append_range(shape, taps);
  shape.push_back(weight[1]);
  SmallVector<int64_t> interleaved{0};
  for (size_t d = 0; d < taps.size(); ++d)
    interleaved.append({int64_t(1 + d), int64_t(1 + taps.size() + d)});
  interleaved.push_back(shape.size() - 1);
  return reshaped(b, loc, transposed(b, loc, reshaped(b, loc, tiles, shape), interleaved),
                  withChannelsLast(op.getResult()).getShape());
}

/// stride - 1 zeros after each element, in every spatial dimension.
static Value spread(OpBuilder &b, Location loc, Value input, ArrayRef<int64_t> strides) {
  ArrayRef<int64_t> shape = shapeOf(input);
  SmallVector<int64_t> split{shape[0]}, joined{shape[0]};
  for (auto [size, stride] : llvm::zip_equal(shape.drop_front().drop_back(), strides)) {
    split.append({size, 1});
    joined.push_back(size * stride);
  }
  split.push_back(shape.back());
  joined.push_back(shape.back());
  SmallVector<int64_t> low(split.size(), 0), high(low);
  for (auto [d, stride] : llvm::enumerate(strides))
    high[2 * d + 2] = stride - 1;
  return reshaped(b, loc, padded(b, loc, reshaped(b, loc, input, split), low, high), joined);
}

/// Weights [c, o / groups, k..] as a convolution's [o, c / groups, k..], each window backwards.
static Value turnedWeight(OpBuilder &b, nn::ConvTransposeOp op) {
  Location loc = op.getLoc();
  ArrayRef<int64_t> weight = shapeOf(op.getWeight()), taps = weight.drop_front(2);
  int64_t groups = op.getGroups(), perIn = weight[0] / groups;
  SmallVector<int64_t> split{groups, perIn, weight[1]}, order{0, 2, 1}, shape{groups * weight[1], perIn};
  for (auto [d, tap] : llvm::enumerate(taps)) {
    split.push_back(tap);
    order.push_back(3 + d);
    shape.push_back(tap);
  }
  Value value = reshaped(b, loc, transposed(b, loc, reshaped(b, loc, op.getWeight(), split), order), shape);
  SmallVector<int64_t> starts(shape.size(), 0), steps(shape.size(), 1);
  for (size_t d = 2; d < shape.size(); ++d) {
    starts[d] = shape[d] - 1;
    steps[d] = -1;
  }
  return nn::SliceOp::create(b, loc, value.getType(), value, b.getDenseI64ArrayAttr(starts),
                             b.getDenseI64ArrayAttr(shape), b.getDenseI64ArrayAttr(steps));
}

Value mpopt::codegen::convolve(OpBuilder &b, nn::ConvTransposeOp op, Value input, const CpuTarget &target) {
  if (tiles(op))
    return tilesOf(b, op, input);
  ArrayRef<int64_t> taps = shapeOf(op.getWeight()).drop_front(2);
  Form form{spread(b, op.getLoc(), input, op.getStrides()),
            turnedWeight(b, op),
            SmallVector<int64_t>(taps.size(), 1),
            SmallVector<int64_t>(op.getDilations()),
            {},
            {},
            int64_t(op.getGroups()),
            withChannelsLast(op.getResult())};
  SmallVector<int64_t> low{0}, high{0};
  for (size_t d = 0; d < taps.size(); ++d) {
    // The padding of the turned windows; where more was cropped than that, elements go.
    int64_t reach = op.getDilations()[d] * (taps[d] - 1), begin = reach - op.getPadsBegin()[d],
            end = reach - op.getPadsEnd()[d] + op.getOutputPadding()[d] - (op.getStrides()[d] - 1);
    form.begin.push_back(std::max<int64_t>(begin, 0));
    form.end.push_back(std::max<int64_t>(end, 0));
    low.push_back(std::min<int64_t>(begin, 0));
    high.push_back(std::min<int64_t>(end, 0));
  }
  low.push_back(0);
  high.push_back(0);
  form.input = padded(b, op.getLoc(), form.input, low, high);
  return build(b, op.getLoc(), form, target);
}
