#include "mpopt/Machine/DType.h"

namespace mpopt::machine {

double bytesOf(DType type) {
  switch (type) {
  case DType::F64:
  case DType::I64:
    return 8;
  case DType::F32:
  case DType::I32:
    return 4;
  case DType::F16:
  case DType::BF16:
  case DType::I16:
    return 2;
  case DType::F8:
  case DType::I8:
  case DType::Bool:
    return 1;
  case DType::F4:
  case DType::I4:
    return 0.5;
  }
  return 0;
}

std::string_view name(DType type) {
  switch (type) {
  case DType::F64:
    return "f64";
  case DType::F32:
    return "f32";
  case DType::F16:
    return "f16";
  case DType::BF16:
    return "bf16";
  case DType::F8:
    return "f8";
  case DType::F4:
    return "f4";
  case DType::I64:
    return "i64";
  case DType::I32:
    return "i32";
  case DType::I16:
    return "i16";
  case DType::I8:
    return "i8";
  case DType::I4:
    return "i4";
  case DType::Bool:
    return "bool";
  }
  return "";
}

std::optional<DType> parseDType(std::string_view text) {
  for (DType type : kDTypes)
    if (name(type) == text)
      return type;
  return std::nullopt;
}

} // namespace mpopt::machine
