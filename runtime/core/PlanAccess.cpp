#include "core/PlanAccess.h"

namespace mpopt::runtime {

size_t sizeOf(plan::DType dtype) {
  switch (dtype) {
  case plan::DType::i8:
  case plan::DType::u8:
  case plan::DType::boolean:
    return 1;
  case plan::DType::f16:
  case plan::DType::bf16:
  case plan::DType::i16:
  case plan::DType::u16:
    return 2;
  case plan::DType::f32:
  case plan::DType::i32:
  case plan::DType::u32:
    return 4;
  case plan::DType::f64:
  case plan::DType::i64:
  case plan::DType::u64:
    return 8;
  }
  return 0;
}

const char *nameOf(plan::DType dtype) {
  static constexpr const char *kNames[] = {"float32", "float64", "float16", "bfloat16", "int8",   "uint8", "int16",
                                           "uint16",  "int32",   "uint32",  "int64",    "uint64", "bool"};
  auto index = static_cast<size_t>(dtype);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

std::optional<uint64_t> checkedMultiply(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product))
    return std::nullopt;
  return product;
}

std::optional<uint64_t> elementCount(std::span<const int64_t> shape) {
  uint64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0)
      return std::nullopt;
    auto product = checkedMultiply(count, static_cast<uint64_t>(size));
    if (!product)
      return std::nullopt;
    count = *product;
  }
  return count;
}

std::string toText(std::span<const int64_t> shape) {
  std::string out = "[";
  for (int64_t size : shape)
    out += (out.size() > 1 ? ", " : "") + std::to_string(size);
  return out + "]";
}

std::optional<uint32_t> peerOf(const plan::Plan &plan, uint32_t rank, int32_t distance) {
  int64_t peer = int64_t(rank) + distance;
  if (peer < 0 || peer >= static_cast<int64_t>(items(plan.ranks()).size()))
    return std::nullopt;
  return static_cast<uint32_t>(peer);
}

std::string kindOf(const plan::Plan &plan, const plan::Instruction &instruction) {
  switch (instruction.op_type()) {
  case plan::Op::KernelCall: {
    auto kernels = items(plan.kernels());
    uint32_t kernel = instruction.op_as_KernelCall()->kernel();
    return kernel < kernels.size() ? std::string(text(kernels[kernel])) : "kernel";
  }
  case plan::Op::Collective:
    return plan::EnumNameCollectiveKind(instruction.op_as_Collective()->kind());
  case plan::Op::Copy:
    return "copy";
  case plan::Op::Send:
    return "send";
  case plan::Op::Recv:
    return "recv";
  default:
    return "instruction";
  }
}

std::string describe(const plan::Plan &plan, const plan::Program &program, size_t instruction, bool init) {
  auto instructions = items(init ? program.init() : program.instructions());
  if (instruction >= instructions.size())
    return "no instruction";
  const plan::Instruction &found = *instructions[instruction];
  auto names = items(plan.names());
  std::string out = kindOf(plan, found) + "#" + std::to_string(instruction);
  if (found.node() < names.size() && names[found.node()]->size() > 0)
    out += " (node " + names[found.node()]->str() + ")";
  return out;
}

} // namespace mpopt::runtime
