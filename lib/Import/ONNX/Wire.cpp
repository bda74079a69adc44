#include "Wire.h"
#include <optional>

using namespace mpopt;
using namespace mpopt::onnx;
using llvm::StringRef;

namespace {

constexpr int kMaxDepth = 64;

/// One field of a message: number, wire type, its number value or its bytes, and all of it as written.
struct Field {
  uint64_t number, type, value = 0;
  StringRef bytes, whole;
};

/// Reads a message field by field.
class Reader {
public:
  explicit Reader(StringRef rest) : rest(rest) {}
  bool done() const { return rest.empty(); }

  std::optional<Field> next() {
    StringRef begin = rest;
    auto key = varint();
    if (!key)
      return std::nullopt;
    Field field{*key >> 3, *key & 7, 0, {}, {}};
    std::optional<uint64_t> size = field.type == 1 ? 8 : field.type == 5 ? 4 : 0;
    if (field.type == 0 || field.type == 2) {
      auto value = varint();
      if (!value)
        return std::nullopt;
      field.value = *value;
      size = field.type == 2 ? *value : 0;
    } else if (field.type != 1 && field.type != 5) {
      return std::nullopt; // groups do not occur in ONNX
    }
    if (*size > rest.size())
      return std::nullopt;
    field.bytes = rest.take_front(*size);
    rest = rest.drop_front(*size);
    field.whole = StringRef(begin.data(), rest.data() - begin.data());
    return field;
  }

private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest.empty(); shift += 7) {
      uint8_t byte = rest.front();
      rest = rest.drop_front();
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128)
        return value;
    }
    return std::nullopt;
  }

  StringRef rest;
};

void writeVarint(std::string &out, uint64_t value) {
  for (; value >= 128; value >>= 7)
    out.push_back(static_cast<char>(value | 128));
  out.push_back(static_cast<char>(value));
}

void writeBytes(std::string &out, uint64_t number, StringRef bytes) {
  writeVarint(out, number << 3 | 2);
  writeVarint(out, bytes.size());
  out.append(bytes.data(), bytes.size());
}

/// Field numbers of onnx.proto: which fields of a message hold messages that may hold tensors.
enum Message { Model, Graph, NodeMessage, Attribute, Function, Tensor, Other };

Message child(Message message, uint64_t number) {
  switch (message) {
  case Model:
    return number == 7 ? Graph : number == 25 ? Function : Other;
  case Graph:
    return number == 1 ? NodeMessage : number == 5 ? Tensor : Other;
  case NodeMessage:
    return number == 5 ? Attribute : Other;
  case Attribute:
    return number == 5 || number == 10 ? Tensor : number == 6 || number == 11 ? Graph : Other;
  case Function:
    return number == 7 ? NodeMessage : number == 11 ? Attribute : Other;
  default:
    return Other;
  }
}

/// Whether a field is of no use to us and may be large.
bool dropped(Message message, uint64_t number) {
  constexpr uint64_t kTrainingInfo = 20, kNodeDoc = 6, kNodeMetadata = 9;
  return (message == Model && number == kTrainingInfo) ||
         (message == NodeMessage && (number == kNodeDoc || number == kNodeMetadata));
}

class Cutter {
public:
  explicit Cutter(StringRef model) : model(model) {}
  /// Appends `bytes`, a message of that kind, without large tensors; false: malformed.
  bool copy(StringRef bytes, Message message, std::string &out, int depth) {
    if (depth > kMaxDepth)
      return false;
    if (message == Tensor)
      return copyTensor(bytes, out);
    for (Reader reader(bytes); !reader.done();) {
      auto field = reader.next();
      if (!field)
        return false;
      Message inner = field->type == 2 ? child(message, field->number) : Other;
      if (inner == Other) {
        if (!dropped(message, field->number))
          out.append(field->whole.data(), field->whole.size());
        continue;
      }
      std::string nested;
      if (!copy(field->bytes, inner, nested, depth + 1))
        return false;
      writeBytes(out, field->number, nested);
    }
    return true;
  }

private:
  bool copyTensor(StringRef bytes, std::string &out) {
    constexpr uint64_t kDataType = 2, kFloatData = 4, kRawData = 9, kDoubleData = 10;
    uint64_t dataType = 0;
    for (Reader reader(bytes); !reader.done();) {
      auto field = reader.next();
      if (!field)
        return false;
      if (field->number == kDataType && field->type == 0)
        dataType = field->value;
    }
    // FLOAT, FLOAT16, DOUBLE and BFLOAT16
    bool isFloat = dataType == 1 || dataType == 10 || dataType == 11 || dataType == 16;
    StringRef cut;
    for (Reader reader(bytes); !reader.done();) {
      Field field = *reader.next();
      // Packed floats and doubles are laid out as raw data is.
      bool data = field.type == 2 && (field.number == kRawData || (field.number == kFloatData && dataType == 1) ||
                                      (field.number == kDoubleData && dataType == 11));
      if (data && field.bytes.size() > (isFloat ? kMaxInlineFloatBytes : kMaxInlineBytes))
        cut = field.bytes;
      else
        out.append(field.whole.data(), field.whole.size());
    }
    if (!cut.empty())
      writeExternal(out, cut); // last, because the last of a repeated scalar field counts
    return true;
  }

  void writeExternal(std::string &out, StringRef bytes) {
    constexpr uint64_t kExternalData = 13, kDataLocation = 14, kExternal = 1;
    std::pair<const char *, std::string> entries[] = {{"location", ""},
                                                      {"offset", std::to_string(bytes.data() - model.data())},
                                                      {"length", std::to_string(bytes.size())}};
    for (auto &[key, value] : entries) {
      std::string entry;
      writeBytes(entry, 1, key);
      writeBytes(entry, 2, value);
      writeBytes(out, kExternalData, entry);
    }
    writeVarint(out, kDataLocation << 3);
    writeVarint(out, kExternal);
  }

  StringRef model;
};

} // namespace

Result<std::string> mpopt::onnx::cutTensors(StringRef model) {
  std::string out;
  if (!Cutter(model).copy(model, Model, out, 0))
    return error("not an ONNX model, or cut short");
  return out;
}
