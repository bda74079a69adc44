#include "comm/local/Pad.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace mpopt::runtime {
namespace {

template <typename T> T clamped(double value) {
  if (std::isnan(value))
    return 0;
  if (value <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

uint16_t toBFloat(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  return std::isnan(value) ? 0x7fc0 : static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// To nearest; the spacing of halves around `value` is a power of two.
uint16_t toHalf(double value) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  double size = std::fabs(value);
  if (std::isnan(value))
    return 0x7e00;
  if (size >= 65520)
    return sign | 0x7c00;
  if (size < std::ldexp(1, -14)) // subnormal: multiples of 2^-24
    return sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(size, 24)));
  int exponent = std::ilogb(size);
  auto mantissa = static_cast<uint32_t>(std::nearbyint(std::ldexp(size, 10 - exponent))); // 1024 to 2048
  return sign | static_cast<uint16_t>(((exponent + 14) << 10) + mantissa);
}

template <typename T> std::array<std::byte, 8> bytesOf(T value) {
  std::array<std::byte, 8> out{};
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

} // namespace

std::array<std::byte, 8> elementOf(plan::DType dtype, double value) {
  switch (dtype) {
  case plan::DType::f32:
    return bytesOf(static_cast<float>(value));
  case plan::DType::f64:
    return bytesOf(value);
  case plan::DType::f16:
    return bytesOf(toHalf(value));
  case plan::DType::bf16:
    return bytesOf(toBFloat(static_cast<float>(value)));
  case plan::DType::i8:
    return bytesOf(clamped<int8_t>(value));
  case plan::DType::u8:
    return bytesOf(clamped<uint8_t>(value));
  case plan::DType::i16:
    return bytesOf(clamped<int16_t>(value));
  case plan::DType::u16:
    return bytesOf(clamped<uint16_t>(value));
  case plan::DType::i32:
    return bytesOf(clamped<int32_t>(value));
  case plan::DType::u32:
    return bytesOf(clamped<uint32_t>(value));
  case plan::DType::i64:
    return bytesOf(clamped<int64_t>(value));
  case plan::DType::u64:
    return bytesOf(clamped<uint64_t>(value));
  default:
    return bytesOf(static_cast<uint8_t>(value != 0));
  }
}

} // namespace mpopt::runtime
