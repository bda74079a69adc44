#include "Build.h"
#include "llvm/ADT/APSInt.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

SmallVector<Value> Build::finish(OperationState &state) {
  Operation *op = builder.create(state);
  SmallVector<Value> results;
  if (succeeded(builder.tryFold(op, results)) && !results.empty())
    op->erase();
  else
    results.assign(op->result_begin(), op->result_end());
  return results;
}

RankedTensorType Build::tensor(ArrayRef<int64_t> shape, Type element) {
  constexpr int64_t kMaxElements = int64_t(1) << 48;
  int64_t nonZero = 1;
  for (int64_t size : shape) {
    if (size < 0 || (size > 0 && nonZero > kMaxElements / size)) {
      fail() << (size < 0 ? "a dimension of negative size" : "a tensor of more than 2^48 elements");
      return nullptr;
    }
    nonZero *= std::max<int64_t>(size, 1);
  }
  return RankedTensorType::get(shape, element);
}

Value Build::compare(nn::Predicate predicate, Value a, Value b) {
  return make<nn::CompareOp>({a, b}, {{"predicate", nn::PredicateAttr::get(builder.getContext(), predicate)}});
}

Value Build::cast(Value x, Type element) {
  if (!x || elementOf(x) == element)
    return x;
  return builder.createOrFold<nn::CastOp>(loc, RankedTensorType::get(shapeOf(x), element), x);
}

Value Build::reshape(Value x, ArrayRef<int64_t> shape) {
  RankedTensorType type = x ? tensor(shape, elementOf(x)) : nullptr;
  if (!type)
    return nullptr;
  if (type.getNumElements() != typeOf(x).getNumElements()) {
    fail() << "cannot make " << type << " of " << x.getType();
    return nullptr;
  }
  return builder.createOrFold<nn::ReshapeOp>(loc, type, x);
}

Value Build::transpose(Value x, ArrayRef<int64_t> permutation) {
  return make<nn::TransposeOp>({x}, {integers("permutation", permutation)});
}

Value Build::broadcast(Value x, ArrayRef<int64_t> shape) {
  RankedTensorType type = x ? tensor(shape, elementOf(x)) : nullptr;
  if (!type)
    return nullptr;
  auto both = nn::broadcastShapes(shapeOf(x), shape);
  if (!both || ArrayRef<int64_t>(*both) != shape) {
    fail() << "cannot broadcast " << x.getType() << " to " << type;
    return nullptr;
  }
  return builder.createOrFold<nn::BroadcastOp>(loc, type, x);
}

Value Build::slice(Value x, int64_t axis, int64_t start, int64_t size) {
  if (!x)
    return nullptr;
  SmallVector<int64_t> starts(rankOf(x), 0), sizes(shapeOf(x)), steps(rankOf(x), 1);
  starts[axis] = start;
  sizes[axis] = size;
  return make<nn::SliceOp>({x}, {integers("starts", starts), integers("sizes", sizes), integers("steps", steps)});
}

Value Build::concat(ArrayRef<Value> inputs, int64_t axis) {
  return make<nn::ConcatOp>(inputs, {integer("axis", axis)});
}

Value Build::gather(Value x, Value indices, int64_t axis) {
  return make<nn::GatherOp>({x, indices}, {integer("axis", axis)});
}

Value Build::reduce(nn::ReduceKind kind, Value x, ArrayRef<int64_t> axes, bool keepDims) {
  SmallVector<NamedAttribute> attributes{{"kind", nn::ReduceKindAttr::get(builder.getContext(), kind)},
                                         integers("axes", axes)};
  if (keepDims)
    attributes.push_back(unit("keep_dims"));
  return make<nn::ReduceOp>({x}, attributes);
}

Value Build::mean(Value x, ArrayRef<int64_t> axes, bool keepDims) {
  Value sum = reduce(nn::ReduceKind::Sum, x, axes, keepDims);
  if (!sum)
    return nullptr;
  int64_t count = 1;
  for (int64_t axis : axes)
    count *= shapeOf(x)[axis];
  if (isFloat(x))
    return mul(sum, like(x, 1.0 / static_cast<double>(count)));
  return div(sum, like(x, count));
}

Value Build::layerNorm(Value x, Value scale, Value bias, int64_t axis, double epsilon, bool rms) {
  SmallVector<Value> operands{x};
  for (Value operand : {scale, bias})
    if (operand)
      operands.push_back(operand);
  SmallVector<NamedAttribute> attributes{integer("axis", axis), number("epsilon", epsilon)};
  if (rms)
    attributes.push_back(unit("rms"));
  return makeAll<nn::LayerNormOp>(operands, attributes, {1, scale ? 1 : 0, bias ? 1 : 0}).front();
}

Value Build::pack(ArrayRef<Value> elements) {
  auto type = TupleType::get(builder.getContext(), ValueRange(elements).getTypes());
  return UnrealizedConversionCastOp::create(builder, loc, type, elements).getResult(0);
}

Value Build::splat(double value, Type element, ArrayRef<int64_t> shape) {
  RankedTensorType type = tensor(shape, element);
  if (!type)
    return nullptr;
  if (auto floatType = dyn_cast<FloatType>(element))
    return constant(DenseElementsAttr::get(type, Attribute(FloatAttr::get(floatType, value))));
  // What 64 bits do not reach becomes the nearest that they do.
  llvm::APSInt integer(64, /*isUnsigned=*/false);
  bool isExact;
  APFloat(value).convertToInteger(integer, APFloat::rmTowardZero, &isExact);
  return constant(DenseElementsAttr::get(type, Attribute(IntegerAttr::get(element, integer.getSExtValue()))));
}

Value Build::constant(DenseElementsAttr value) { return nn::ConstantOp::create(builder, loc, value.getType(), value); }

Value Build::constantInts(ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get(static_cast<int64_t>(values.size()), builder.getI64Type());
  return constant(DenseElementsAttr::get(type, values));
}

Value Build::iota(RankedTensorType type, int64_t axis, double start, double step) {
  if (type.getNumElements() > nn::kFoldLimit)
    return nn::IotaOp::create(builder, loc, type, axis, APFloat(start), APFloat(step));
  int64_t inner = ShapedType::getNumElements(type.getShape().drop_front(axis + 1)), size = type.getDimSize(axis);
  auto at = [&](int64_t i) { return start + step * static_cast<double>(i / std::max<int64_t>(inner, 1) % size); };
  auto floatType = dyn_cast<FloatType>(type.getElementType());
  std::vector<Attribute> values;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    values.push_back(floatType ? Attribute(FloatAttr::get(floatType, at(i)))
                               : IntegerAttr::get(type.getElementType(), static_cast<int64_t>(at(i))));
  return constant(DenseElementsAttr::get(type, values));
}
