#include "core/Npy.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = 6;
/// numpy's own limit on headers it trusts.
constexpr size_t kMaxHeader = 65536;

struct Close {
  void operator()(FILE *file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, Close>;

struct Descr {
  const char *text;
  plan::DType dtype;
};
constexpr Descr kDescrs[] = {{"<f4", plan::DType::f32},  {"<f8", plan::DType::f64},    {"<f2", plan::DType::f16},
                             {"<V2", plan::DType::bf16}, {"|V2", plan::DType::bf16},   {"|i1", plan::DType::i8},
                             {"|u1", plan::DType::u8},   {"<i2", plan::DType::i16},    {"<u2", plan::DType::u16},
                             {"<i4", plan::DType::i32},  {"<u4", plan::DType::u32},    {"<i8", plan::DType::i64},
                             {"<u8", plan::DType::u64},  {"|b1", plan::DType::boolean}};

/// What follows `'key':` in the header's dictionary, or nothing.
std::optional<std::string_view> valueOf(std::string_view header, std::string_view key) {
  size_t at = header.find("'" + std::string(key) + "'");
  if (at == std::string_view::npos)
    return std::nullopt;
  at = header.find(':', at);
  at = at == std::string_view::npos ? at : header.find_first_not_of(' ', at + 1);
  return at == std::string_view::npos ? std::nullopt : std::optional(header.substr(at));
}

std::optional<std::vector<int64_t>> parseShape(std::string_view value) {
  size_t end = value.find(')');
  if (value.empty() || value[0] != '(' || end == std::string_view::npos)
    return std::nullopt;
  std::vector<int64_t> shape;
  int64_t number = -1;
  for (char c : value.substr(1, end)) {
    if (c >= '0' && c <= '9') {
      if (number > (INT64_MAX - 9) / 10)
        return std::nullopt;
      number = (number < 0 ? 0 : number) * 10 + (c - '0');
    } else if (c == ',' || c == ')') {
      if (number >= 0)
        shape.push_back(number);
      number = -1;
    } else if (c != ' ') {
      return std::nullopt;
    }
  }
  return shape;
}

/// Parses the header's dictionary into `tensor`; says what is wrong, or nothing.
std::string parseHeader(std::string_view header, Tensor &tensor) {
  auto descr = valueOf(header, "descr"), order = valueOf(header, "fortran_order"), shape = valueOf(header, "shape");
  if (!descr || !order || !shape)
    return "its header is no numpy header";
  auto parsed = parseShape(*shape);
  if (!parsed)
    return "its shape cannot be read";
  tensor.shape = *parsed;
  if (!order->starts_with("False") && tensor.shape.size() > 1)
    return "it is in Fortran order; save numpy.ascontiguousarray of it";
  for (const Descr &known : kDescrs)
    if (descr->size() > 5 && descr->substr(1, 3) == known.text) {
      tensor.dtype = known.dtype;
      return "";
    }
  return "its type " + std::string(descr->substr(0, descr->find(','))) +
         " is not supported (little-endian numbers are)";
}

} // namespace

Result<Tensor> readNpy(const std::string &path) {
  File file(std::fopen(path.c_str(), "rb"));
  if (!file)
    return error("cannot read '" + path + "': " + std::strerror(errno));
  auto refuse = [&](const std::string &why) { return error("cannot read '" + path + "': " + why); };
  unsigned char start[12];
  if (std::fread(start, 1, 8, file.get()) != 8 || std::memcmp(start, kMagic, kMagicBytes) != 0)
    return refuse("it is no numpy (.npy) file");
  bool isLong = start[6] == 2;
  if (start[6] != 1 && !isLong)
    return refuse("its numpy format version is " + std::to_string(start[6]) + ", supported are 1 and 2");
  size_t lengthBytes = isLong ? 4 : 2, length = 0;
  if (std::fread(start + 8, 1, lengthBytes, file.get()) != lengthBytes)
    return refuse("it is cut short");
  for (size_t i = 0; i < lengthBytes; ++i)
    length |= static_cast<size_t>(start[8 + i]) << (8 * i);
  if (length > kMaxHeader)
    return refuse("its header is too long");
  std::string header(length, ' ');
  if (std::fread(header.data(), 1, length, file.get()) != length)
    return refuse("it is cut short");

  Tensor tensor;
  if (std::string why = parseHeader(header, tensor); !why.empty())
    return refuse(why);
  auto count = elementCount(tensor.shape);
  auto bytes = count ? checkedMultiply(*count, sizeOf(tensor.dtype)) : std::nullopt;
  long begin = std::ftell(file.get());
  if (!bytes || begin < 0 || std::fseek(file.get(), 0, SEEK_END) != 0)
    return refuse("its shape is too large");
  if (static_cast<uint64_t>(std::ftell(file.get()) - begin) != *bytes)
    return refuse("its size does not fit its shape " + toText(tensor.shape));
  std::fseek(file.get(), begin, SEEK_SET);
  tensor.data.resize(*bytes);
  if (std::fread(tensor.data.data(), 1, *bytes, file.get()) != *bytes)
    return refuse("it is cut short");
  return tensor;
}

Status writeNpy(const std::string &path, const Tensor &tensor) {
  std::string descr = "?";
  for (const Descr &known : kDescrs)
    if (known.dtype == tensor.dtype) {
      descr = known.text;
      break;
    }
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
  for (int64_t size : tensor.shape)
    header += std::to_string(size) + ",";
  header += "), }";
  header.append(63 - (header.size() + 10) % 64, ' ').push_back('\n');

  std::string temporary = path + ".tmp";
  FILE *file = std::fopen(temporary.c_str(), "wb");
  int code = errno;
  bool ok = file != nullptr;
  if (file) {
    char start[10] = {
        0, 0, 0, 0, 0, 0, 1, 0, static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
    std::memcpy(start, kMagic, kMagicBytes);
    ok = std::fwrite(start, 1, sizeof start, file) == sizeof start &&
         std::fwrite(header.data(), 1, header.size(), file) == header.size() &&
         std::fwrite(tensor.data.data(), 1, tensor.data.size(), file) == tensor.data.size();
    code = errno;
    if (std::fclose(file) != 0 && ok) {
      ok = false;
      code = errno;
    }
    if (ok && std::rename(temporary.c_str(), path.c_str()) != 0) {
      ok = false;
      code = errno;
    }
    if (!ok)
      unlink(temporary.c_str());
  }
  if (!ok)
    return error("cannot write '" + path + "': " + std::strerror(code));
  return {};
}

} // namespace mpopt::runtime
