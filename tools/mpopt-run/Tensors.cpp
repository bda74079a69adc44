#include "Tensors.h"

#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace mpopt::run {
namespace {

using runtime::Tensor;

float halfToFloat(uint16_t half) {
  int exponent = half >> 10 & 31, mantissa = half & 1023;
  float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
               : exponent == 31
                   ? (mantissa ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity())
                   : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return half & 0x8000 ? -size : size;
}

template <typename T> T load(const std::byte *from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

double valueAt(const Tensor &tensor, size_t index) {
  const std::byte *at = tensor.data.data() + index * runtime::sizeOf(tensor.dtype);
  switch (tensor.dtype) {
  case plan::DType::f32:
    return load<float>(at);
  case plan::DType::f64:
    return load<double>(at);
  case plan::DType::f16:
    return halfToFloat(load<uint16_t>(at));
  case plan::DType::bf16:
    return std::bit_cast<float>(uint32_t(load<uint16_t>(at)) << 16);
  case plan::DType::i8:
    return load<int8_t>(at);
  case plan::DType::u8:
    return load<uint8_t>(at);
  case plan::DType::i16:
    return load<int16_t>(at);
  case plan::DType::u16:
    return load<uint16_t>(at);
  case plan::DType::i32:
    return load<int32_t>(at);
  case plan::DType::u32:
    return load<uint32_t>(at);
  case plan::DType::i64:
    return static_cast<double>(load<int64_t>(at));
  case plan::DType::u64:
    return static_cast<double>(load<uint64_t>(at));
  default:
    return load<uint8_t>(at) != 0;
  }
}

/// A half holds every multiple of 1/256 below 8, which is fine enough for random inputs.
uint16_t toHalf(float value) {
  float rounded = std::nearbyint(std::fmin(std::fmax(value, -7.9f), 7.9f) * 128) / 128;
  if (rounded == 0)
    return 0;
  int exponent = std::ilogb(rounded);
  auto mantissa = static_cast<uint16_t>(std::ldexp(std::fabs(rounded), 10 - exponent));
  return (rounded < 0 ? 0x8000 : 0) | static_cast<uint16_t>(((exponent + 14) << 10) + mantissa);
}

/// Box and Muller's way: the standard library's own distributions differ between its makers.
class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}
  uint64_t bit() { return engine() >> 63; }
  double normal() {
    double radius = std::sqrt(-2 * std::log(unit())), angle = 2 * 3.14159265358979323846 * unit();
    return radius * std::cos(angle);
  }

private:
  double unit() { return (static_cast<double>(engine() >> 11) + 0.5) * 0x1p-53; }
  std::mt19937_64 engine;
};

template <typename T> void store(std::byte *to, T value) { std::memcpy(to, &value, sizeof value); }

} // namespace

Result<std::map<std::string, Tensor>> readTensors(const std::string &flag, const std::vector<std::string> &arguments,
                                                  const flatbuffers::Vector<flatbuffers::Offset<plan::Port>> *ports) {
  std::map<std::string, Tensor> tensors;
  for (const std::string &argument : arguments) {
    // A name may contain '=', a file's path rather does not; the name that exists decides.
    std::string name, known;
    for (const plan::Port *port : runtime::items(ports)) {
      known += (known.empty() ? "" : ", ") + port->name()->str();
      if (argument.starts_with(port->name()->str() + "=") && port->name()->size() >= name.size())
        name = port->name()->str();
    }
    size_t equals = argument.find('=');
    if (equals == std::string::npos)
      return error(flag + " takes name=file.npy, not '" + argument + "'");
    if (name.empty())
      return error(flag + ": the plan has no '" + argument.substr(0, equals) + "', it has " + known);
    auto tensor = runtime::readNpy(argument.substr(name.size() + 1));
    if (!tensor)
      return error(flag + " " + name + ": " + tensor.error().message);
    if (!tensors.emplace(name, std::move(*tensor)).second)
      return error(flag + " gives '" + name + "' twice");
  }
  return tensors;
}

Tensor randomTensor(const plan::Port &port, uint64_t seed, size_t position) {
  auto shape = runtime::numbers(port.shape());
  size_t count = *runtime::elementCount(shape), bytes = runtime::sizeOf(port.dtype());
  Tensor tensor{port.dtype(), {shape.begin(), shape.end()}, std::vector<std::byte>(count * bytes)};
  Random random(seed * 1000003 + position);
  for (size_t i = 0; i < count; ++i) {
    std::byte *at = tensor.data.data() + i * bytes;
    switch (port.dtype()) {
    case plan::DType::f32:
      store(at, static_cast<float>(random.normal()));
      break;
    case plan::DType::f64:
      store(at, random.normal());
      break;
    case plan::DType::f16:
      store(at, toHalf(static_cast<float>(random.normal())));
      break;
    case plan::DType::bf16:
      store(at, static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(random.normal())) >> 16));
      break;
    default: // little-endian integers of any width
      *at = static_cast<std::byte>(random.bit());
    }
  }
  return tensor;
}

double relativeError(const Tensor &found, const Tensor &reference) {
  size_t count = *runtime::elementCount(found.shape);
  double difference = 0, size = 0;
  for (size_t i = 0; i < count; ++i) {
    double expected = valueAt(reference, i), step = valueAt(found, i) - expected;
    difference += step * step;
    size += expected * expected;
  }
  double result = difference == 0 ? 0 : std::sqrt(difference / size);
  return std::isnan(result) ? std::numeric_limits<double>::infinity() : result;
}

std::string fileNameOf(const std::string &output) {
  std::string name = output;
  for (char &c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-')
      c = '_';
  return name + ".npy";
}

} // namespace mpopt::run
