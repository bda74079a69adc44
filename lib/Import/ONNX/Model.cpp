#include "Model.h"
#include "Wire.h"
#include "onnx/common/assertions.h"
#include "onnx/defs/schema.h"
#include "onnx/inliner/inliner.h"
#include "onnx/version_converter/convert.h"
#include "llvm/Support/MemoryBuffer.h"
#include <map>
#include <stdexcept>

using namespace mpopt;
using namespace mpopt::onnx;

namespace {

proto::OperatorSetIdProto *defaultOpset(proto::ModelProto &model) {
  for (auto &opset : *model.mutable_opset_import())
    if (opset.domain().empty() || opset.domain() == "ai.onnx")
      return &opset;
  return nullptr;
}

/// Replaces Constant nodes of large tensors by initializers: the converter may copy nodes, and knows no data elsewhere.
void liftLargeConstants(proto::GraphProto &graph) {
  auto *nodes = graph.mutable_node();
  int kept = 0;
  for (int i = 0; i < nodes->size(); ++i) {
    proto::NodeProto *node = nodes->Mutable(i);
    bool large = node->op_type() == "Constant" && node->attribute_size() == 1 && node->output_size() == 1 &&
                 node->attribute(0).has_t() && node->attribute(0).t().data_location() == proto::TensorProto::EXTERNAL;
    if (large) {
      proto::TensorProto *tensor = graph.add_initializer();
      *tensor = node->attribute(0).t();
      tensor->set_name(node->output(0));
    } else if (kept++ != i) {
      nodes->SwapElements(kept - 1, i);
    }
  }
  nodes->DeleteSubrange(kept, nodes->size() - kept);
}

/// The converter takes it for granted that nodes are as their schemas say, and reads what is not there where they are not. Throws
/// std::invalid_argument.
void checkNodes(const proto::GraphProto &graph, int version) {
  for (const proto::NodeProto &node : graph.node()) {
    const proto::OpSchema *schema = proto::OpSchemaRegistry::Schema(node.op_type(), version, node.domain());
    if (!schema)
      continue;
    auto refuse = [&](const std::string &what) {
      throw std::invalid_argument("node '" + node.name() + "' (" + node.op_type() + ") " + what);
    };
    if (node.input_size() < schema->min_input() || node.input_size() > schema->max_input())
      refuse("has " + std::to_string(node.input_size()) + " inputs");
    if (node.output_size() < schema->min_output() || node.output_size() > schema->max_output())
      refuse("has " + std::to_string(node.output_size()) + " outputs");
    std::map<std::string, const proto::AttributeProto *> given;
    for (const proto::AttributeProto &attribute : node.attribute()) {
      given[attribute.name()] = &attribute;
      if (attribute.has_g())
        checkNodes(attribute.g(), version);
    }
    for (const auto &[name, known] : schema->attributes())
      if (auto it = given.find(name); it == given.end() ? known.required : it->second->type() != known.type)
        refuse(it == given.end() ? "lacks attribute '" + name + "'"
                                 : "has an attribute '" + name + "' of another type");
  }
}

/// What is declared of a vector of integers that is longer than any shape is forgotten: the converter infers the dimensions of what such a
/// vector is the shape of, one by one. Returns whether there was something to forget.
bool forgetLength(proto::ValueInfoProto &value) {
  constexpr int64_t kMostDims = 1 << 12;
  if (!value.type().has_tensor_type())
    return false;
  proto::TypeProto_Tensor &type = *value.mutable_type()->mutable_tensor_type();
  bool isInteger = type.elem_type() == proto::TensorProto::INT64 || type.elem_type() == proto::TensorProto::INT32;
  if (!isInteger || type.shape().dim_size() != 1 || type.shape().dim(0).dim_value() <= kMostDims)
    return false;
  type.mutable_shape()->mutable_dim(0)->clear_value();
  return true;
}

/// Converts a copy without external data and without the lengths of long vectors, and puts them back after.
proto::ModelProto convert(proto::ModelProto model, int64_t version) {
  liftLargeConstants(*model.mutable_graph());
  std::map<std::string, proto::TensorProto> external;
  for (proto::TensorProto &tensor : *model.mutable_graph()->mutable_initializer())
    if (tensor.data_location() == proto::TensorProto::EXTERNAL) {
      external[tensor.name()] = tensor;
      tensor.clear_external_data();
      tensor.clear_data_location();
    }
  std::map<std::string, proto::ValueInfoProto> vectors;
  for (proto::ValueInfoProto &input : *model.mutable_graph()->mutable_input())
    if (proto::ValueInfoProto declared = input; forgetLength(input))
      vectors[input.name()] = declared;
  for (proto::ValueInfoProto &value : *model.mutable_graph()->mutable_value_info())
    forgetLength(value);
  proto::ModelProto converted = proto::version_conversion::ConvertVersion(model, static_cast<int>(version));
  for (proto::ValueInfoProto &input : *converted.mutable_graph()->mutable_input())
    if (auto it = vectors.find(input.name()); it != vectors.end())
      input = it->second;
  for (proto::TensorProto &tensor : *converted.mutable_graph()->mutable_initializer())
    if (auto it = external.find(tensor.name()); it != external.end())
      tensor = it->second;
  return converted;
}

Result<proto::ModelProto> normalise(proto::ModelProto model, const std::string &path) {
  proto::OperatorSetIdProto *opset = defaultOpset(model);
  if (!opset) {
    opset = model.add_opset_import();
    opset->set_version(model.ir_version() < 3 ? 1 : kOldestOpset);
  }
  constexpr int64_t kNewestOpset = 64;
  if (opset->version() < 1 || opset->version() > kNewestOpset)
    return error("'" + path + "' asks for operator set " + std::to_string(opset->version()) + ", which is unknown");
  if (opset->version() >= kOldestOpset)
    return model;
  // The semantics that the lowerings assume hold from 13 on, so those models can do without the converter.
  constexpr int64_t kOldestUnconverted = 13;
  try {
    checkNodes(model.graph(), static_cast<int>(opset->version()));
    return convert(model, kOldestOpset);
  } catch (const std::exception &e) {
    if (opset->version() >= kOldestUnconverted)
      return model;
    return error("ONNX's converter cannot bring '" + path + "' from operator set " + std::to_string(opset->version()) +
                 " to " + std::to_string(kOldestOpset) + ": " + e.what() +
                 "; export the model with a newer operator set");
  }
}

} // namespace

Result<proto::ModelProto> mpopt::onnx::parseModel(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return error("cannot read '" + path.str() + "': " + buffer.getError().message());
  auto bytes = cutTensors((*buffer)->getBuffer());
  if (!bytes)
    return error("'" + path.str() + "' is " + bytes.error().message);
  proto::ModelProto model;
  if (bytes->size() > INT_MAX || !model.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())) ||
      !model.has_graph())
    return error("'" + path.str() + "' is not an ONNX model, or cut short");
  return model;
}

Result<proto::ModelProto> mpopt::onnx::loadModel(llvm::StringRef path, llvm::ArrayRef<std::string> dimFlags) {
  auto model = parseModel(path);
  if (!model)
    return model;
  if (auto bound = bindDims(*model->mutable_graph(), dimFlags); !bound)
    return tl::unexpected(bound.error());
  try {
    if (model->functions_size())
      proto::inliner::InlineLocalFunctions(*model, /*convert_version=*/true);
  } catch (const std::exception &e) {
    return error("cannot inline the functions of '" + path.str() + "': " + e.what());
  }
  return normalise(std::move(*model), path.str());
}
