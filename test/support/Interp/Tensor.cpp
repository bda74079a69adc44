#include "Tensor.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace mpopt::interp;

Tensor Tensor::zeros(Type element, ArrayRef<int64_t> shape) {
  Tensor tensor{element, SmallVector<int64_t>(shape), {}, {}};
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  if (tensor.isFloat())
    tensor.floats.resize(count);
  else
    tensor.ints.resize(count);
  return tensor;
}

Tensor Tensor::zeros(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return zeros(tensor.getElementType(), tensor.getShape());
}

int64_t Tensor::at(ArrayRef<int64_t> index) const {
  int64_t offset = 0;
  for (auto [size, i] : llvm::zip(shape, index))
    offset = offset * size + i;
  return offset;
}

int64_t Tensor::atBroadcast(ArrayRef<int64_t> index) const {
  int64_t offset = 0;
  for (auto [size, i] : llvm::zip(shape, index.take_back(shape.size())))
    offset = offset * size + (size == 1 ? 0 : i);
  return offset;
}

static bool isUnsigned(Type element) { return element.isUnsignedInteger() || element.isInteger(1); }

void Tensor::setNumber(int64_t i, double value) {
  if (isFloat()) {
    floats[i] = value;
    return;
  }
  unsigned bits = element.getIntOrFloatBitWidth();
  double high = std::ldexp(1.0, static_cast<int>(isUnsigned(element) ? bits : bits - 1)),
         low = isUnsigned(element) ? 0 : -high;
  if (value >= high)
    ints[i] = static_cast<int64_t>(llvm::maskTrailingOnes<uint64_t>(isUnsigned(element) ? bits : bits - 1));
  else
    ints[i] = value <= low ? (low == 0 ? 0 : llvm::minIntN(bits)) : std::isnan(value) ? 0 : static_cast<int64_t>(value);
}

void Tensor::copy(int64_t i, const Tensor &from, int64_t j) {
  if (isFloat())
    floats[i] = from.floats[j];
  else
    ints[i] = from.ints[j];
}

void Tensor::poison(int64_t i) {
  if (isFloat())
    floats[i] = std::nan("");
  else
    ints[i] = element.isInteger(1) ? 1 : element.getIntOrFloatBitWidth() < 32 ? 101 : 1000000007;
}

static double roundTo(double value, FloatType type) {
  if (type.isF64())
    return value;
  if (type.isF32())
    return static_cast<float>(value);
  llvm::APFloat rounded(value);
  bool lost;
  rounded.convert(type.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
  rounded.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &lost);
  return rounded.convertToDouble();
}

void Tensor::round(bool keepDoubles) {
  if (auto type = dyn_cast<FloatType>(element)) {
    if (!keepDoubles)
      for (double &value : floats)
        value = roundTo(value, type);
    return;
  }
  unsigned bits = element.getIntOrFloatBitWidth();
  for (int64_t &value : ints)
    value = bits >= 64 ? value
            : isUnsigned(element)
                ? static_cast<int64_t>(static_cast<uint64_t>(value) & llvm::maskTrailingOnes<uint64_t>(bits))
                : llvm::SignExtend64(static_cast<uint64_t>(value), bits);
}

void mpopt::interp::forEachIndex(ArrayRef<int64_t> shape, llvm::function_ref<void(ArrayRef<int64_t>, int64_t)> body) {
  if (llvm::is_contained(shape, 0))
    return;
  SmallVector<int64_t> index(shape.size());
  for (int64_t i = 0;; ++i) {
    body(index, i);
    int64_t d = static_cast<int64_t>(shape.size()) - 1;
    while (d >= 0 && ++index[d] == shape[d])
      index[d--] = 0;
    if (d < 0)
      return;
  }
}

/// splitmix64.
static uint64_t nextRandom(uint64_t &state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t mpopt::interp::hashName(StringRef name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

Tensor mpopt::interp::randomTensor(RankedTensorType type, uint64_t seed) {
  Tensor tensor = Tensor::zeros(type);
  for (double &value : tensor.floats)
    value = (static_cast<double>(nextRandom(seed) % 33) - 16) / 8;
  for (int64_t &value : tensor.ints)
    value = static_cast<int64_t>(nextRandom(seed) % (type.getElementType().isInteger(1) ? 2 : 8));
  return tensor;
}

std::string mpopt::interp::firstDifference(const Tensor &expected, const Tensor &actual, double tolerance) {
  if (expected.shape != actual.shape || expected.element != actual.element)
    return "types differ";
  double scale = 1;
  for (double value : expected.floats)
    if (std::isfinite(value))
      scale = std::max(scale, std::fabs(value));
  auto same = [&](int64_t i) {
    if (!expected.isFloat())
      return expected.ints[i] == actual.ints[i];
    double a = expected.floats[i], b = actual.floats[i];
    return a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= tolerance * scale;
  };
  for (int64_t i = 0; i < expected.size(); ++i)
    if (!same(i))
      return llvm::formatv("element {0}: expected {1:e17}, got {2:e17}", i, expected.number(i), actual.number(i));
  return {};
}
