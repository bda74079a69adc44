// Quantized ONNX operators, in exact integer arithmetic where ONNX asks for it.
#include "Node.h"
#include "Tensors.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

Type i32(Node &n) { return IntegerType::get(n.context(), 32); }
Type f32(Node &n) { return Float32Type::get(n.context()); }

/// A scale or zero point with the rank of x: a scalar, a vector along `axis`, or blocks of `block` elements along it.
Value spread(Node &n, Value parameter, Value x, int64_t axis, int64_t block) {
  if (!parameter || !x)
    return nullptr;
  ArrayRef<int64_t> shape = Build::shapeOf(parameter), full = Build::shapeOf(x);
  if (Build::typeOf(parameter).getNumElements() == 1 && !block)
    return n.reshape(parameter, {});
  if (block > 0) {
    SmallVector<int64_t> split(shape), repeated(shape), merged(shape);
    split.insert(split.begin() + axis + 1, 1);
    repeated.insert(repeated.begin() + axis + 1, block);
    merged[axis] *= block;
    Value wide = n.reshape(n.broadcast(n.reshape(parameter, split), repeated), merged);
    return merged[axis] == full[axis] ? wide : n.slice(wide, axis, 0, full[axis]);
  }
  if (shape.size() > 1)
    return parameter;
  SmallVector<int64_t> aligned(full.size(), 1);
  aligned[axis] = shape[0];
  return n.reshape(parameter, aligned);
}

/// The parameter's axis, 0 where it is a scalar.
int64_t parameterAxis(Node &n, Value parameter, Value x) {
  bool one = !parameter || !x || Build::typeOf(parameter).getNumElements() == 1;
  return one && !n.intAttr("block_size", 0) ? 0 : n.axis(n.intAttr("axis", 1), Build::rankOf(x));
}

/// The lowest and highest number of an integer type of at most 16 bits.
std::pair<double, double> limits(IntegerType type) {
  unsigned bits = type.getWidth();
  return type.isUnsigned() ? std::pair(0.0, double((1 << bits) - 1))
                           : std::pair(-double(1 << (bits - 1)), double((1 << (bits - 1)) - 1));
}

/// round(x) + zero point (null: 0), saturated; `x` is a float tensor.
Value saturate(Node &n, Value x, Value zeroPoint, Type to) {
  auto type = dyn_cast<IntegerType>(to);
  if (!type || type.getWidth() > 16) {
    n.fail() << "ONNX operator " << n.op << " to " << to << " is not supported" << kExportAnew;
    return nullptr;
  }
  auto [low, high] = limits(type);
  Value rounded = n.make<nn::RoundOp>({x});
  if (zeroPoint)
    rounded = n.add(rounded, n.cast(zeroPoint, Build::elementOf(x)));
  rounded = n.make<nn::MinOp>({n.make<nn::MaxOp>({rounded, n.like(rounded, low)}), n.like(rounded, high)});
  return n.cast(rounded, to);
}

/// The operands that QuantizeLinear and DequantizeLinear share, parameters with the rank of x; null x when the node is bad.
struct Quantization {
  Value x, scale, zero;

  explicit Quantization(Node &n) {
    Value input = n.in(0), given = n.in(1), point = n.opt(2);
    if (!input || !given)
      return;
    int64_t axis = parameterAxis(n, given, input), block = n.intAttr("block_size", 0);
    if (n.hasFailed())
      return;
    x = input;
    scale = n.cast(spread(n, given, x, axis, block), f32(n));
    zero = spread(n, point, x, axis, block);
  }
};

void lowerQuantizeLinear(Node &n) {
  Quantization q(n);
  if (!q.x)
    return;
  Type to = q.zero ? Build::elementOf(q.zero) : elementTypeOf(n.context(), n.intAttr("output_dtype", 0));
  if (!to)
    to = IntegerType::get(n.context(), 8, IntegerType::Unsigned);
  n.give(saturate(n, n.div(n.cast(q.x, f32(n)), q.scale), q.zero, to));
}

void lowerDequantizeLinear(Node &n) {
  Quantization q(n);
  if (!q.x)
    return;
  Value centered = n.cast(q.x, i32(n));
  if (q.zero)
    centered = n.sub(centered, n.cast(q.zero, i32(n)));
  Type to = elementTypeOf(n.context(), n.intAttr("output_dtype", 0));
  n.give(n.cast(n.mul(n.cast(centered, f32(n)), q.scale), to ? to : Build::elementOf(n.in(1))));
}

/// x - zero point as i32. A vector of zero points belongs to the rows of a left operand and the columns of a right one.
Value centered(Node &n, Value x, Value zero, bool rows) {
  Value wide = n.cast(x, i32(n));
  if (!zero || !wide)
    return wide;
  zero = n.cast(zero, i32(n));
  if (rows && Build::rankOf(zero) == 1 && Build::shapeOf(zero)[0] > 1)
    zero = n.reshape(zero, {Build::shapeOf(zero)[0], 1});
  return n.sub(wide, zero);
}

void lowerMatMulInteger(Node &n) {
  n.give(n.matmul(centered(n, n.in(0), n.opt(2), true), centered(n, n.in(1), n.opt(3), false)));
}

/// The factor from integer products to the quantized result, with a vector of scales along the columns.
Value requantize(Node &n, Value product, Value scaleA, Value scaleB, Value scaleY, Value zeroY) {
  if (!product || !zeroY)
    return nullptr;
  Value factor = n.div(n.mul(scaleA, scaleB), scaleY);
  return saturate(n, n.mul(n.cast(product, f32(n)), n.cast(factor, f32(n))), zeroY, Build::elementOf(zeroY));
}

/// Scales and zero points of single elements as scalars, so that they do not add dimensions.
Value scalarOrAll(Node &n, Value x) { return x && Build::typeOf(x).getNumElements() == 1 ? n.reshape(x, {}) : x; }

void lowerQLinearMatMul(Node &n) {
  Value scaleA = scalarOrAll(n, n.in(1)), zeroA = scalarOrAll(n, n.in(2));
  Value scaleB = scalarOrAll(n, n.in(4)), zeroB = scalarOrAll(n, n.in(5));
  if (scaleA && Build::rankOf(scaleA) == 1)
    scaleA = n.reshape(scaleA, {Build::shapeOf(scaleA)[0], 1});
  Value product = n.matmul(centered(n, n.in(0), zeroA, true), centered(n, n.in(3), zeroB, false));
  n.give(requantize(n, product, scaleA, scaleB, scalarOrAll(n, n.in(6)), scalarOrAll(n, n.in(7))));
}

/// A convolution of integers by floating-point ones: the weights are cut into halves of 4 bits, so that every sum of up to 4096
/// products stays below 2^24, where floats are exact.
Value convolveExactly(Node &n, Value x, Value weight) {
  if (!x || !weight)
    return nullptr;
  auto halves = [&](Value w) {
    Value high = n.make<nn::FloorOp>({n.mul(w, n.like(w, 1.0 / 16))});
    return std::pair(high, n.sub(w, n.mul(high, n.like(w, 16))));
  };
  auto [high, low] = halves(n.cast(weight, f32(n)));
  Value input = n.cast(x, f32(n));
  Value coarse = n.cast(convolve(n, input, high, Value()), i32(n));
  Value fine = n.cast(convolve(n, input, low, Value()), i32(n));
  return n.add(n.mul(coarse, n.like(coarse, 16)), fine);
}

/// A vector along dimension `axis` of rank `rank`.
Value along(Node &n, Value x, int64_t axis, int64_t rank) {
  if (!x || Build::rankOf(x) != 1)
    return x;
  SmallVector<int64_t> shape(rank, 1);
  shape[axis] = Build::shapeOf(x)[0];
  return n.reshape(x, shape);
}

void lowerConvInteger(Node &n) {
  Value x = n.in(0), weight = n.in(1);
  if (!x || !weight)
    return;
  Value zeroW = along(n, scalarOrAll(n, n.opt(3)), 0, Build::rankOf(weight));
  n.give(convolveExactly(n, centered(n, x, scalarOrAll(n, n.opt(2)), false), centered(n, weight, zeroW, false)));
}

/// Inputs: x, its scale and zero point, weight, its scale and zero point, the result's scale and zero point, bias (i32).
void lowerQLinearConv(Node &n) {
  Value x = n.in(0), weight = n.in(3);
  if (!x || !weight)
    return;
  int64_t rank = Build::rankOf(x);
  Value zeroW = along(n, scalarOrAll(n, n.in(5)), 0, rank);
  Value sum = convolveExactly(n, centered(n, x, scalarOrAll(n, n.in(2)), false), centered(n, weight, zeroW, false));
  if (n.has(8))
    sum = n.add(sum, along(n, n.opt(8), 1, rank));
  n.give(requantize(n, sum, scalarOrAll(n, n.in(1)), along(n, scalarOrAll(n, n.in(4)), 1, rank),
                    scalarOrAll(n, n.in(6)), scalarOrAll(n, n.in(7))));
}

/// x as the floats that it stands for: inputs i (x), i + 1 (scale) and i + 2 (zero point).
Value dequantized(Node &n, unsigned i) {
  Value x = centered(n, n.in(i), scalarOrAll(n, n.opt(i + 2)), false);
  return n.mul(n.cast(x, f32(n)), scalarOrAll(n, n.in(i + 1)));
}

/// Element by element on what the inputs stand for: a, its scale and zero point, b, its scale and zero point, the result's.
template <typename Op> void lowerQLinearBinary(Node &n) {
  Value result = n.make<Op>({dequantized(n, 0), dequantized(n, 3)});
  Value zero = scalarOrAll(n, n.opt(7)), scale = scalarOrAll(n, n.in(6));
  if (Value a = n.in(0))
    n.give(saturate(n, n.div(result, scale), zero, Build::elementOf(a)));
}

/// A float product of quantized operands: a, b, their scales and zero points, bias.
void lowerMatMulIntegerToFloat(Node &n) {
  Value product = n.matmul(centered(n, n.in(0), scalarOrAll(n, n.opt(4)), true),
                           centered(n, n.in(1), scalarOrAll(n, n.opt(5)), false));
  Value result = n.mul(n.cast(product, f32(n)), n.mul(scalarOrAll(n, n.in(2)), scalarOrAll(n, n.in(3))));
  n.give(n.has(6) ? n.add(result, n.opt(6)) : result);
}

/// Numbers of `bits` bits, packed from the lowest bit on along the last dimension, as floats.
Value unpackBits(Node &n, Value packed, int64_t bits) {
  if (!packed || bits == 8)
    return n.cast(packed, f32(n));
  SmallVector<int64_t> shape(Build::shapeOf(packed)), wide(shape);
  shape.push_back(1);
  wide.back() *= 8 / bits;
  Value bytes = n.cast(n.reshape(packed, shape), i32(n));
  SmallVector<Value> parts;
  for (int64_t shift = 0; shift < 8; shift += bits)
    parts.push_back(n.make<nn::ModOp>({n.div(bytes, n.like(bytes, 1 << shift)), n.like(bytes, 1 << bits)}));
  return n.cast(n.reshape(n.concat(parts, shape.size() - 1), wide), f32(n));
}

/// x times the transpose of a weight [N, K] in blocks of `block_size` along K, each with its scale and zero point. The weights
/// are unpacked when the plan is made.
void lowerMatMulNBits(Node &n) {
  Value x = n.in(0), packed = n.in(1), scales = n.in(2);
  int64_t depth = n.intAttr("K", 0), columns = n.intAttr("N", 0), bits = n.intAttr("bits", 4);
  int64_t block = n.intAttr("block_size", 0), blocks = block > 0 ? (depth + block - 1) / block : 0;
  if (!x || !packed || !scales)
    return;
  if ((bits != 2 && bits != 4 && bits != 8) || blocks < 1 || columns < 1 || n.has(4) || block * bits % 8 ||
      Build::typeOf(packed).getNumElements() != columns * blocks * block * bits / 8 ||
      Build::typeOf(scales).getNumElements() != columns * blocks) {
    n.fail() << "ONNX operator com.microsoft:MatMulNBits of this form (bits, block size or g_idx) is not supported"
             << kExportAnew;
    return;
  }
  Value weight = unpackBits(n, n.reshape(packed, {columns, blocks, block * bits / 8}), bits), zero;
  if (Value given = n.opt(3); given && Build::isFloat(given)) {
    zero = n.reshape(given, {columns, blocks, 1});
  } else if (given) {
    int64_t bytes = (blocks * bits + 7) / 8;
    zero = n.slice(unpackBits(n, n.reshape(given, {columns, bytes}), bits), 1, 0, blocks);
    zero = n.reshape(zero, {columns, blocks, 1});
  } else {
    zero = n.like(weight, 1 << (bits - 1));
  }
  weight = n.mul(n.sub(weight, n.cast(zero, f32(n))), n.cast(n.reshape(scales, {columns, blocks, 1}), f32(n)));
  weight = n.slice(n.reshape(weight, {columns, blocks * block}), 1, 0, depth);
  Value result = n.matmul(x, n.transpose(n.cast(weight, Build::elementOf(x)), {1, 0}));
  n.give(n.has(5) ? n.add(result, n.opt(5)) : result);
}

} // namespace

void mpopt::onnx::addQuantized(LoweringTable &table) {
  table["QuantizeLinear"] = table["com.microsoft:QuantizeLinear"] = lowerQuantizeLinear;
  table["DequantizeLinear"] = table["com.microsoft:DequantizeLinear"] = lowerDequantizeLinear;
  table["MatMulInteger"] = lowerMatMulInteger;
  table["QLinearMatMul"] = lowerQLinearMatMul;
  table["ConvInteger"] = lowerConvInteger;
  table["QLinearConv"] = lowerQLinearConv;
  table["com.microsoft:QLinearAdd"] = lowerQLinearBinary<nn::AddOp>;
  table["com.microsoft:QLinearMul"] = lowerQLinearBinary<nn::MulOp>;
  table["com.microsoft:MatMulIntegerToFloat"] = lowerMatMulIntegerToFloat;
  table["com.microsoft:MatMulNBits"] = lowerMatMulNBits;
}
