#include "ModelMutator.h"
#include "onnx/defs/schema.h"
#include "onnx/onnx_pb.h"
#include <algorithm>
#include <random>
#include <set>

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using mpopt_onnx::ModelProto;

namespace {

/// Names of all operators and attributes that ONNX knows.
const std::vector<std::string> &knownNames() {
  static const std::vector<std::string> names = [] {
    std::set<std::string> all;
    for (const auto &schema : mpopt_onnx::OpSchemaRegistry::get_all_schemas()) {
      all.insert(schema.Name());
      for (const auto &[name, attribute] : schema.attributes())
        all.insert(name);
    }
    return std::vector<std::string>(all.begin(), all.end());
  }();
  return names;
}

class Mutator {
public:
  Mutator(ModelProto &model, unsigned seed) : model(model), random(seed) {}

  void run() {
    for (int changes = 1 + below(3); changes > 0; --changes) {
      messages.clear(); // a change may have ended some
      texts.clear();
      collect(model);
      Message &message = *messages[below(messages.size())];
      const FieldDescriptor *field = pickField(message);
      if (field->is_repeated())
        changeList(message, field);
      else
        changeField(message, field);
    }
  }

private:
  size_t below(size_t count) { return random() % std::max<size_t>(count, 1); }
  bool chance(unsigned percent) { return below(100) < percent; }

  void collect(Message &message) {
    messages.push_back(&message);
    const Reflection &reflection = *message.GetReflection();
    std::vector<const FieldDescriptor *> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor *field : fields) {
      int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
      for (int i = 0; i < count; ++i)
        if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
          collect(field->is_repeated() ? *reflection.MutableRepeatedMessage(&message, field, i)
                                       : *reflection.MutableMessage(&message, field));
        else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && texts.size() < 4096)
          texts.push_back(field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                               : reflection.GetString(message, field));
    }
  }

  /// Mostly one that is set.
  const FieldDescriptor *pickField(const Message &message) {
    std::vector<const FieldDescriptor *> fields;
    message.GetReflection()->ListFields(message, &fields);
    if (!fields.empty() && chance(80))
      return fields[below(fields.size())];
    return message.GetDescriptor()->field(static_cast<int>(below(message.GetDescriptor()->field_count())));
  }

  int64_t integer() {
    static constexpr int64_t kTelling[] = {
        0,         1,        2,  3,  4,  5,  6,  7,  8,  9,   10,  11,    12,        13,        16,
        17,        18,       20, 21, 23, 64, -1, -2, -3, 127, 255, 65536, INT32_MAX, INT32_MIN, int64_t(1) << 40,
        INT64_MAX, INT64_MIN};
    return chance(90) ? kTelling[below(std::size(kTelling))] : static_cast<int64_t>(random());
  }
  double number() {
    static constexpr double kTelling[] = {0, 1, -1, 0.5, 1e-5, 1e30, -1e30, 1e308};
    return chance(5) ? std::nan("") : kTelling[below(std::size(kTelling))];
  }
  std::string text() {
    if (chance(45))
      return texts.empty() ? "" : texts[below(texts.size())];
    if (chance(80))
      return knownNames()[below(knownNames().size())];
    static const char *const kTelling[] = {"",           "ai.onnx", "com.microsoft", "x",      "N",      "../w",
                                           "SAME_UPPER", "NOTSET",  "location",      "offset", "length", "-1"};
    return kTelling[below(std::size(kTelling))];
  }

  /// A copy of another message of the same type, or null. A copy, since making room in a field ends what else its oneof held, and since
  /// messages may hold each other.
  std::unique_ptr<Message> another(const FieldDescriptor *field) {
    std::vector<const Message *> fitting;
    for (const Message *message : messages)
      if (message->GetDescriptor() == field->message_type())
        fitting.push_back(message);
    if (fitting.empty() || chance(5))
      return nullptr;
    const Message *from = fitting[below(fitting.size())];
    std::unique_ptr<Message> copy(from->New());
    copy->CopyFrom(*from);
    return copy;
  }

  void changeField(Message &message, const FieldDescriptor *field) {
    const Reflection &reflection = *message.GetReflection();
    if (chance(15))
      return reflection.ClearField(&message, field);
    switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetInt32(&message, field, static_cast<int32_t>(integer()));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.SetInt64(&message, field, integer());
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.SetUInt32(&message, field, static_cast<uint32_t>(integer()));
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.SetUInt64(&message, field, static_cast<uint64_t>(integer()));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.SetFloat(&message, field, static_cast<float>(number()));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetDouble(&message, field, number());
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.SetBool(&message, field, chance(50));
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.SetEnumValue(&message, field, static_cast<int>(integer()));
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.SetString(&message, field, text());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      std::unique_ptr<Message> copy = another(field);
      Message *to = reflection.MutableMessage(&message, field);
      if (copy)
        to->CopyFrom(*copy);
    }
  }

  void changeList(Message &message, const FieldDescriptor *field) {
    const Reflection &reflection = *message.GetReflection();
    int size = reflection.FieldSize(message, field);
    if (size == 0 || chance(35))
      return addEntry(message, field);
    int at = static_cast<int>(below(size));
    if (chance(40) || field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      reflection.SwapElements(&message, field, at, chance(50) ? size - 1 : static_cast<int>(below(size)));
      if (chance(60))
        reflection.RemoveLast(&message, field);
      return;
    }
    switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetRepeatedInt32(&message, field, at, static_cast<int32_t>(integer()));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.SetRepeatedInt64(&message, field, at, integer());
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.SetRepeatedUInt64(&message, field, at, static_cast<uint64_t>(integer()));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.SetRepeatedFloat(&message, field, at, static_cast<float>(number()));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetRepeatedDouble(&message, field, at, number());
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.SetRepeatedString(&message, field, at, text());
    default: // ONNX has no other lists
      return;
    }
  }

  void addEntry(Message &message, const FieldDescriptor *field) {
    const Reflection &reflection = *message.GetReflection();
    switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.AddInt32(&message, field, static_cast<int32_t>(integer()));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.AddInt64(&message, field, integer());
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.AddUInt64(&message, field, static_cast<uint64_t>(integer()));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.AddFloat(&message, field, static_cast<float>(number()));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.AddDouble(&message, field, number());
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.AddString(&message, field, text());
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      std::unique_ptr<Message> copy = another(field);
      Message *to = reflection.AddMessage(&message, field);
      if (copy)
        to->CopyFrom(*copy);
      return;
    }
    default:
      return;
    }
  }

  ModelProto &model;
  std::mt19937_64 random;
  std::vector<Message *> messages;
  std::vector<std::string> texts;
};

} // namespace

size_t mpopt::hostile::mutateModel(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  ModelProto model;
  if (!model.ParsePartialFromArray(data, static_cast<int>(size)) || !model.has_graph()) {
    model.Clear();
    model.set_ir_version(10);
    model.add_opset_import()->set_version(18);
    model.mutable_graph()->add_node()->set_op_type("Add");
  }
  Mutator(model, seed).run();
  size_t after = model.ByteSizeLong();
  if (after > maxSize || !model.SerializePartialToArray(data, static_cast<int>(maxSize)))
    return size;
  return after;
}
