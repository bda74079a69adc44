#include "core/Npy.h"
#include "format/OutputFile.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

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

/// How the numbers lie in the file, where that is not how a Tensor holds them.
struct Order {
  bool fortran = false, bigEndian = false;
};

/// Parses the header's dictionary into `tensor` and `order`; says what is wrong, or nothing.
std::string parseHeader(std::string_view header, Tensor &tensor, Order &order) {
  auto descr = valueOf(header, "descr"), fortran = valueOf(header, "fortran_order"), shape = valueOf(header, "shape");
  if (!descr || !fortran || !shape)
    return "its header is no numpy header";
  auto parsed = parseShape(*shape);
  if (!parsed)
    return "its shape cannot be read";
  tensor.shape = *parsed;
  order.fortran = !fortran->starts_with("False") && tensor.shape.size() > 1;
  if (descr->size() > 5) {
    std::string type(descr->substr(1, 3));
    order.bigEndian = type[0] == '>';
    if (order.bigEndian)
      type[0] = '<';
    for (const Descr &known : kDescrs)
      if (type == known.text) {
        tensor.dtype = known.dtype;
        return "";
      }
  }
  std::string given(descr->substr(0, std::min(descr->find(','), descr->find('}'))));
  return "its type " + given + " is not supported; convert it with numpy's astype";
}

void swapBytes(std::vector<std::byte> &data, size_t size) {
  for (auto at = data.begin(); at != data.end(); at += static_cast<ptrdiff_t>(size))
    std::reverse(at, at + static_cast<ptrdiff_t>(size));
}

/// Makes column-major data row-major.
std::vector<std::byte> transposed(const std::vector<std::byte> &data, std::span<const int64_t> shape, size_t size) {
  std::vector<std::byte> result(data.size());
  std::vector<int64_t> index(shape.size(), 0);
  for (size_t to = 0; to < result.size(); to += size) {
    size_t from = 0;
    for (size_t dim = shape.size(); dim-- > 0;)
      from = from * static_cast<size_t>(shape[dim]) + static_cast<size_t>(index[dim]);
    std::memcpy(result.data() + to, data.data() + from * size, size);
    for (size_t dim = shape.size(); dim-- > 0 && ++index[dim] == shape[dim];)
      index[dim] = 0;
  }
  return result;
}

} // namespace

Result<Tensor> readNpy(const std::string &path) {
  File file(std::fopen(path.c_str(), "rb"));
  if (!file)
    return error("cannot read '" + path + "': " + std::strerror(errno));
  auto refuse = [&](const std::string &why) { return error("cannot read '" + path + "': " + why); };
  unsigned char start[12];
  size_t got = std::fread(start, 1, 8, file.get());
  if (got == 8 && std::memcmp(start, "PK\3\4", 4) == 0)
    return refuse("it is an archive (.npz); save each array by itself with numpy.save");
  if (got != 8 || std::memcmp(start, kMagic, kMagicBytes) != 0)
    return refuse("it is no numpy (.npy) file");
  bool isLong = start[6] == 2 || start[6] == 3; // 3 only differs in what names may hold
  if (start[6] != 1 && !isLong)
    return refuse("its numpy format version is " + std::to_string(start[6]) + ", supported are 1 to 3");
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
  Order order;
  if (std::string why = parseHeader(header, tensor, order); !why.empty())
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
  if (order.bigEndian)
    swapBytes(tensor.data, sizeOf(tensor.dtype));
  if (order.fortran)
    tensor.data = transposed(tensor.data, tensor.shape, sizeOf(tensor.dtype));
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

  auto file = OutputFile::create(path);
  if (!file)
    return tl::unexpected(file.error());
  char start[4] = {1, 0, static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  file->write({kMagic, kMagicBytes});
  file->write({start, sizeof start});
  file->write(header);
  file->write({reinterpret_cast<const char *>(tensor.data.data()), tensor.data.size()});
  return file->commit();
}

} // namespace mpopt::runtime
