#ifndef MPOPT_MACHINE_DTYPE_H
#define MPOPT_MACHINE_DTYPE_H

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mpopt::machine {

/// Element types that a device computes on or moves. Named in machine files by
/// name().
enum class DType : uint8_t { F64, F32, F16, BF16, F8, F4, I64, I32, I16, I8, I4, Bool };

inline constexpr std::array<DType, 12> kDTypes = {DType::F64, DType::F32, DType::F16, DType::BF16,
                                                  DType::F8,  DType::F4,  DType::I64, DType::I32,
                                                  DType::I16, DType::I8,  DType::I4,  DType::Bool};

/// Size of one element in bytes; half a byte for F4 and I4.
double bytesOf(DType type);

/// "f64", "f32", "f16", "bf16", "f8", "f4", "i64", "i32", "i16", "i8", "i4", "bool".
std::string_view name(DType type);

/// The type of that name, or nullopt.
std::optional<DType> parseDType(std::string_view name);

} // namespace mpopt::machine

#endif // MPOPT_MACHINE_DTYPE_H
