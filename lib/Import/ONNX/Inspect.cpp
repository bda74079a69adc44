// What an ONNX file says about itself, without lowering it.
#include "mpopt/Import/ONNX/Inspect.h"
#include "Model.h"
#include "Node.h"
#include "Tensors.h"
#include "mpopt/Support/BlockNames.h"
#include "mpopt/Support/Repeats.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <map>
#include <set>

using namespace mpopt;
using namespace mpopt::onnx;

namespace {

struct TypeName {
  const char *name;
  int bits;
};

/// By TensorProto.DataType.
constexpr TypeName kTypes[] = {{"undefined", 0},      {"float32", 32},     {"uint8", 8},          {"int8", 8},
                               {"uint16", 16},        {"int16", 16},       {"int32", 32},         {"int64", 64},
                               {"string", 0},         {"bool", 8},         {"float16", 16},       {"float64", 64},
                               {"uint32", 32},        {"uint64", 64},      {"complex64", 64},     {"complex128", 128},
                               {"bfloat16", 16},      {"float8e4m3fn", 8}, {"float8e4m3fnuz", 8}, {"float8e5m2", 8},
                               {"float8e5m2fnuz", 8}, {"uint4", 4},        {"int4", 4},           {"float4e2m1", 4}};

TypeName typeOf(int dataType) {
  return dataType >= 0 && dataType < static_cast<int>(std::size(kTypes)) ? kTypes[dataType] : TypeName{"unknown", 0};
}

int64_t elementsOf(const proto::TensorProto &tensor) {
  int64_t count = 1;
  for (int64_t size : tensor.dims())
    if (size < 0 || __builtin_mul_overflow(count, size, &count))
      return 0;
  return count;
}

class Inspector {
public:
  Inspector(const proto::ModelProto &model, const std::string &path) : model(model), path(path) {}

  ModelSummary run() {
    result.name = model.graph().name();
    result.producer = model.producer_name() + (model.producer_version().empty() ? "" : " " + model.producer_version());
    result.irVersion = model.ir_version();
    result.functions = model.functions_size();
    for (const auto &opset : model.opset_import()) {
      std::string domain = opset.domain() == "ai.onnx" ? "" : opset.domain();
      versions[domain] = opset.version();
      result.opsets.emplace_back(domain.empty() ? "ai.onnx" : domain, opset.version());
    }
    for (const proto::FunctionProto &function : model.functions())
      local.insert({function.domain() == "ai.onnx" ? "" : function.domain(), function.name()});
    readPorts();
    readGraph(model.graph());
    for (const proto::FunctionProto &function : model.functions())
      readNodes(function.node());
    finish();
    return std::move(result);
  }

private:
  using Key = std::pair<std::string, std::string>;

  static std::string domainOf(const proto::NodeProto &node) { return node.domain() == "ai.onnx" ? "" : node.domain(); }

  static PortSummary portOf(const proto::ValueInfoProto &value) {
    PortSummary port;
    port.name = value.name();
    const proto::TypeProto &type = value.type();
    if (!type.has_tensor_type()) {
      port.type = type.has_sequence_type()        ? "sequence"
                  : type.has_map_type()           ? "map"
                  : type.has_optional_type()      ? "optional"
                  : type.has_sparse_tensor_type() ? "sparse tensor"
                                                  : "unknown";
      return port;
    }
    port.type = typeOf(type.tensor_type().elem_type()).name;
    port.hasShape = type.tensor_type().has_shape();
    for (const auto &dim : type.tensor_type().shape().dim()) {
      DimSummary &summary = port.dims.emplace_back();
      if (dim.has_dim_value())
        summary.size = dim.dim_value();
      summary.symbol = dim.dim_param();
    }
    return port;
  }

  void readPorts() {
    std::set<std::string> initializers;
    for (const proto::TensorProto &tensor : model.graph().initializer())
      initializers.insert(tensor.name());
    for (const auto &input : model.graph().input())
      if (!initializers.count(input.name()))
        result.inputs.push_back(portOf(input));
    for (const auto &output : model.graph().output())
      result.outputs.push_back(portOf(output));
  }

  void readGraph(const proto::GraphProto &graph) {
    for (const proto::TensorProto &tensor : graph.initializer())
      readTensor(tensor);
    readNodes(graph.node());
  }

  template <typename Nodes> void readNodes(const Nodes &nodes) {
    for (const proto::NodeProto &node : nodes) {
      ++result.nodes;
      OperatorSummary &op = operators[{domainOf(node), node.op_type()}];
      if (op.count++ == 0)
        op.firstNode = nameOf(node);
      for (const proto::AttributeProto &attribute : node.attribute()) {
        if (attribute.has_t() && tensorBytes(attribute.t()) > static_cast<int64_t>(kLargeConstant))
          readTensor(attribute.t());
        if (attribute.has_g())
          readGraph(attribute.g());
        for (const proto::GraphProto &graph : attribute.graphs())
          readGraph(graph);
      }
    }
  }

  static std::string nameOf(const proto::NodeProto &node) {
    return !node.name().empty() ? node.name() : node.output_size() ? node.output(0) : node.op_type();
  }

  static int64_t tensorBytes(const proto::TensorProto &tensor) {
    return (elementsOf(tensor) * typeOf(tensor.data_type()).bits + 7) / 8;
  }

  void readTensor(const proto::TensorProto &tensor) {
    TypeName type = typeOf(tensor.data_type());
    ParameterSummary &parameters = types[type.name];
    parameters.type = type.name;
    ++parameters.tensors;
    parameters.elements += elementsOf(tensor);
    parameters.bytes += tensorBytes(tensor);
    std::string location;
    uint64_t offset = 0, length = static_cast<uint64_t>(tensorBytes(tensor));
    if (tensor.data_location() == proto::TensorProto::EXTERNAL)
      for (const auto &entry : tensor.external_data()) {
        if (entry.key() == "location")
          location = entry.value();
        if (entry.key() == "offset")
          llvm::StringRef(entry.value()).getAsInteger(10, offset);
        if (entry.key() == "length")
          llvm::StringRef(entry.value()).getAsInteger(10, length);
      }
    DataFileSummary &file = files[location];
    ++file.tensors;
    file.bytes += tensorBytes(tensor);
    if (!location.empty())
      file.needed = std::max(file.needed, offset + length);
  }

  int64_t versionOf(const std::string &domain) const {
    auto it = versions.find(domain);
    return it == versions.end() ? 1 : it->second;
  }

  /// Whether a lowering or the schema's own description of the operator exists, in the version that the importer works with.
  bool isSupported(const Key &key) const {
    const auto &[domain, name] = key;
    if (local.count(key) || loweringTable().contains(domain.empty() ? name : domain + ":" + name) ||
        (domain.empty() && name == "If"))
      return true;
    int64_t number = versionOf(domain);
    if (domain.empty())
      number = std::max(number, kOldestOpset);
    const auto *schema = proto::OpSchemaRegistry::Schema(name, static_cast<int>(number), domain);
    // An operator that newer sets no longer have is converted to others.
    if (!schema)
      return domain.empty() && proto::OpSchemaRegistry::Schema(name, static_cast<int>(versionOf(domain)), domain);
    return schema->HasFunction() || schema->HasContextDependentFunction();
  }

  void finish() {
    for (auto &[key, op] : operators) {
      op.domain = key.first;
      op.name = key.second;
      op.supported = isSupported(key);
      result.operators.push_back(op);
    }
    llvm::stable_sort(result.operators, [](const auto &a, const auto &b) { return a.count > b.count; });
    for (const auto &[type, parameters] : types)
      result.parameters.push_back(parameters);
    llvm::stable_sort(result.parameters, [](const auto &a, const auto &b) { return a.bytes > b.bytes; });
    for (auto &[name, file] : files) {
      file.file = name;
      if (!name.empty())
        lookAt(file);
      result.files.push_back(file);
    }
    findBlocks();
  }

  void lookAt(DataFileSummary &file) const {
    if (!staysInside(file.file)) {
      file.problem = "lies outside of the model's folder";
      return;
    }
    llvm::SmallString<256> place(llvm::sys::path::parent_path(path));
    llvm::sys::path::append(place, file.file);
    uint64_t size = 0;
    if (llvm::sys::fs::is_directory(place) || llvm::sys::fs::file_size(place, size)) {
      file.problem = "missing";
      return;
    }
    file.size = size;
    if (size < file.needed)
      file.problem = "too short, " + std::to_string(file.needed) + " bytes are needed";
  }

  /// Nodes are equal where their operators and attributes are; constants do not count, which exporters put anywhere.
  void findBlocks() {
    std::map<std::string, uint64_t> known;
    std::vector<uint64_t> items;
    std::vector<std::string> names;
    for (const proto::NodeProto &node : model.graph().node()) {
      if (node.op_type() == "Constant")
        continue;
      std::string text = domainOf(node) + ":" + node.op_type() + "/" + std::to_string(node.input_size());
      for (const proto::AttributeProto &attribute : node.attribute())
        if (!attribute.has_g() && !attribute.has_t())
          text += attribute.SerializeAsString();
      items.push_back(known.try_emplace(text, known.size()).first->second);
      names.push_back(nameOf(node));
    }
    std::span<const std::string> all(names);
    auto accepts = [](size_t, size_t period) { return period >= kLeastBlock; };
    auto fit = [&](size_t begin, size_t period) {
      return static_cast<double>(commonPath(all.subspan(begin, period)).size());
    };
    for (const Repeat &repeat : RepeatFinder(items, accepts, fit).run())
      result.blocks.push_back({blockName(all.subspan(repeat.begin, repeat.period)),
                               blockName(all.subspan(repeat.end() - repeat.period, repeat.period)),
                               static_cast<int64_t>(repeat.count), static_cast<int64_t>(repeat.period)});
  }

  static constexpr size_t kLargeConstant = 1024, kLeastBlock = 4;

  const proto::ModelProto &model;
  const std::string &path;
  ModelSummary result;
  std::map<std::string, int64_t> versions; // by domain
  std::set<Key> local;                     // the model's own functions
  std::map<Key, OperatorSummary> operators;
  std::map<std::string, ParameterSummary> types;
  std::map<std::string, DataFileSummary> files;
};

} // namespace

Result<ModelSummary> mpopt::inspectModel(const std::string &path) {
  try {
    auto model = parseModel(path);
    if (!model)
      return tl::unexpected(model.error());
    return Inspector(*model, path).run();
  } catch (const std::exception &e) {
    return error("cannot inspect '" + path + "': " + e.what());
  }
}
