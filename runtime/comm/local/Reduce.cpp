// Compiled for the instruction set that every CPU plan needs at least (see CMakeLists.txt), for its inner loops.
#include "comm/local/Reduce.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mpopt::runtime {
namespace {

constexpr size_t kBlock = 512; // elements accumulated at a time, on the stack

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};
struct Bool {
  uint8_t bits;
};

float widen(Half value) {
  _Float16 half;
  std::memcpy(&half, &value, sizeof half);
  return static_cast<float>(half);
}
float widen(BFloat value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }
uint8_t widen(Bool value) { return value.bits != 0; }
template <typename T> T widen(T value) { return value; }

template <typename T> struct Narrow {
  static T from(T value) { return value; }
};
template <> struct Narrow<Half> {
  static Half from(float value) {
    auto half = static_cast<_Float16>(value);
    Half out;
    std::memcpy(&out, &half, sizeof out);
    return out;
  }
};
template <> struct Narrow<BFloat> {
  static BFloat from(float value) {
    auto bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffff) > 0x7f800000) // a NaN stays one
      return {static_cast<uint16_t>(bits >> 16 | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)}; // to nearest, ties to even
  }
};
template <> struct Narrow<Bool> {
  static Bool from(uint8_t value) { return {static_cast<uint8_t>(value != 0)}; }
};

/// Arithmetic happens unsigned, where overflow wraps, and in at least 32 bits' width without promotion to int.
template <typename T> T add(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}
template <typename T> T multiply(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}

template <plan::ReduceKind kind, typename T> T combine(T a, T b) {
  if constexpr (kind == plan::ReduceKind::sum)
    return add(a, b);
  else if constexpr (kind == plan::ReduceKind::prod)
    return multiply(a, b);
  else if constexpr (kind == plan::ReduceKind::max) // the first NaN stays
    return a != a || a > b ? a : b;
  else
    return a != a || a < b ? a : b;
}

template <typename T, plan::ReduceKind kind>
void reduce(std::byte *to, const std::byte *const *from, size_t count, size_t bytes) {
  using Wide = decltype(widen(T()));
  Wide sum[kBlock];
  size_t total = bytes / sizeof(T);
  for (size_t start = 0; start < total; start += kBlock) {
    size_t size = std::min(kBlock, total - start);
    const T *first = reinterpret_cast<const T *>(from[0]) + start;
    for (size_t i = 0; i < size; ++i)
      sum[i] = widen(first[i]);
    for (size_t member = 1; member < count; ++member) {
      const T *next = reinterpret_cast<const T *>(from[member]) + start;
      for (size_t i = 0; i < size; ++i)
        sum[i] = combine<kind, Wide>(sum[i], widen(next[i]));
    }
    T *out = reinterpret_cast<T *>(to) + start;
    for (size_t i = 0; i < size; ++i)
      out[i] = Narrow<T>::from(sum[i]);
  }
}

template <typename T> ReduceFunction ofKind(plan::ReduceKind kind) {
  switch (kind) {
  case plan::ReduceKind::max:
    return reduce<T, plan::ReduceKind::max>;
  case plan::ReduceKind::min:
    return reduce<T, plan::ReduceKind::min>;
  case plan::ReduceKind::prod:
    return reduce<T, plan::ReduceKind::prod>;
  default:
    return reduce<T, plan::ReduceKind::sum>;
  }
}

/// A sum of booleans is an or, which max computes; a sum of 256 ones would wrap.
ReduceFunction ofBool(plan::ReduceKind kind) {
  return kind == plan::ReduceKind::sum ? reduce<Bool, plan::ReduceKind::max> : ofKind<Bool>(kind);
}

} // namespace

ReduceFunction reduceFunction(plan::DType dtype, plan::ReduceKind kind) {
  switch (dtype) {
  case plan::DType::f32:
    return ofKind<float>(kind);
  case plan::DType::f64:
    return ofKind<double>(kind);
  case plan::DType::f16:
    return ofKind<Half>(kind);
  case plan::DType::bf16:
    return ofKind<BFloat>(kind);
  case plan::DType::i8:
    return ofKind<int8_t>(kind);
  case plan::DType::u8:
    return ofKind<uint8_t>(kind);
  case plan::DType::i16:
    return ofKind<int16_t>(kind);
  case plan::DType::u16:
    return ofKind<uint16_t>(kind);
  case plan::DType::i32:
    return ofKind<int32_t>(kind);
  case plan::DType::u32:
    return ofKind<uint32_t>(kind);
  case plan::DType::i64:
    return ofKind<int64_t>(kind);
  case plan::DType::u64:
    return ofKind<uint64_t>(kind);
  default:
    return ofBool(kind);
  }
}

} // namespace mpopt::runtime
