#include "mpopt/Import/ONNX/Annotations.h"
#include "Model.h"
#include "Tensors.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <filesystem>
#include <map>

using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// The name that the importer gives a node's operators.
std::string nameOf(const proto::NodeProto &node) {
  if (!node.name().empty())
    return node.name();
  for (const std::string &output : node.output())
    if (!output.empty())
      return output;
  return "";
}

Result<DimAnnotation> readDim(const proto::ShardedDimProto &dim, const std::string &where) {
  DimAnnotation result{dim.axis(), 1, std::nullopt};
  for (int i = 0; i < dim.simple_sharding_size(); ++i) {
    const proto::SimpleShardedDimProto &part = dim.simple_sharding(i);
    if (part.num_shards() < 1)
      return error(where + " splits dimension " + std::to_string(dim.axis()) + " into " +
                   std::to_string(part.num_shards()) + " shards; that must be 1 at least");
    if (i == 0) {
      result.shards = part.num_shards();
      if (part.has_dim_value() && dim.simple_sharding_size() > 1)
        result.blocks = part.dim_value();
    } else if (part.num_shards() != 1) {
      return error(where + " splits an inner part of dimension " + std::to_string(dim.axis()) +
                   ", which is not supported; split its outermost part only");
    }
  }
  return result;
}

Result<TensorAnnotation> readTensor(const proto::ShardingSpecProto &spec, const std::string &where) {
  TensorAnnotation result{spec.tensor_name(), {}, {}};
  size_t shards = 1;
  for (const proto::ShardedDimProto &dim : spec.sharded_dim()) {
    auto read = readDim(dim, where);
    if (!read)
      return tl::unexpected(read.error());
    constexpr int64_t kMost = int64_t(1) << 31;
    if (read->shards > kMost / static_cast<int64_t>(shards))
      return error(where + " asks for too many shards");
    shards *= static_cast<size_t>(read->shards);
    result.dims.push_back(*read);
  }
  std::map<int64_t, std::vector<int64_t>> groups;
  for (const auto &entry : spec.index_to_device_group_map())
    groups[entry.key()].assign(entry.value().begin(), entry.value().end());
  for (int64_t device : spec.device()) {
    auto group = groups.find(device);
    result.devices.push_back(group == groups.end() ? std::vector<int64_t>{device} : group->second);
  }
  // A list of another length (all devices of a tensor that is whole, say) tells no shard's place.
  if (result.devices.size() != shards)
    result.devices.clear();
  return result;
}

Result<NodeAnnotation> readNode(const proto::NodeProto &node, const proto::NodeDeviceConfigurationProto &given,
                                const std::string &path) {
  NodeAnnotation result{nameOf(node), {}, {}};
  std::string where = "'" + path + "': the multi-device annotation of node " + result.node;
  if (given.has_pipeline_stage())
    result.stage = given.pipeline_stage();
  for (const proto::ShardingSpecProto &spec : given.sharding_spec()) {
    bool known = false;
    for (const auto *names : {&node.input(), &node.output()})
      known |= std::find(names->begin(), names->end(), spec.tensor_name()) != names->end();
    if (!known || spec.tensor_name().empty())
      return error(where + " names the tensor '" + spec.tensor_name() + "', which the node neither reads nor writes");
    auto tensor = readTensor(spec, where);
    if (!tensor)
      return tl::unexpected(tensor.error());
    result.tensors.push_back(std::move(*tensor));
  }
  return result;
}

proto::NodeDeviceConfigurationProto write(const NodeAnnotation &node, const std::string &configuration) {
  proto::NodeDeviceConfigurationProto result;
  result.set_configuration_id(configuration);
  if (node.stage)
    result.set_pipeline_stage(static_cast<int32_t>(*node.stage));
  for (const TensorAnnotation &tensor : node.tensors) {
    proto::ShardingSpecProto *spec = result.add_sharding_spec();
    spec->set_tensor_name(tensor.tensor);
    for (size_t shard = 0; shard < tensor.devices.size(); ++shard) {
      const std::vector<int64_t> &devices = tensor.devices[shard];
      if (devices.size() == 1) {
        spec->add_device(devices.front());
        continue;
      }
      // Keys of groups are negative, so that none is taken for a device.
      int64_t key = -1 - static_cast<int64_t>(shard);
      spec->add_device(key);
      auto *entry = spec->add_index_to_device_group_map();
      entry->set_key(key);
      for (int64_t device : devices)
        entry->add_value(device);
    }
    for (const DimAnnotation &dim : tensor.dims) {
      proto::ShardedDimProto *sharded = spec->add_sharded_dim();
      sharded->set_axis(dim.axis);
      proto::SimpleShardedDimProto *outer = sharded->add_simple_sharding();
      outer->set_num_shards(dim.shards);
      if (dim.blocks) {
        outer->set_dim_value(*dim.blocks);
        sharded->add_simple_sharding()->set_num_shards(1);
      }
    }
  }
  return result;
}

/// Makes references to external data relative to another folder.
class Mover {
public:
  Mover(std::string from, std::string to) : prefix(pathBetween(from, to)) {}

  Status move(proto::GraphProto &graph) {
    for (proto::TensorProto &tensor : *graph.mutable_initializer())
      if (Status status = move(tensor); !status)
        return status;
    for (proto::NodeProto &node : *graph.mutable_node())
      for (proto::AttributeProto &attribute : *node.mutable_attribute())
        if (Status status = move(attribute); !status)
          return status;
    return {};
  }

private:
  static std::string pathBetween(const std::string &from, const std::string &to) {
    std::error_code code;
    auto path = std::filesystem::relative(from.empty() ? "." : from, to.empty() ? "." : to, code);
    return code ? ".." : path.string();
  }

  Status move(proto::AttributeProto &attribute) {
    if (attribute.has_t())
      if (Status status = move(*attribute.mutable_t()); !status)
        return status;
    for (proto::TensorProto &tensor : *attribute.mutable_tensors())
      if (Status status = move(tensor); !status)
        return status;
    if (attribute.has_g())
      if (Status status = move(*attribute.mutable_g()); !status)
        return status;
    for (proto::GraphProto &graph : *attribute.mutable_graphs())
      if (Status status = move(graph); !status)
        return status;
    return {};
  }

  Status move(proto::TensorProto &tensor) {
    if (tensor.data_location() != proto::TensorProto::EXTERNAL || prefix == ".")
      return {};
    for (auto &entry : *tensor.mutable_external_data())
      if (entry.key() == "location") {
        std::string moved = prefix + "/" + entry.value();
        if (!staysInside(moved))
          return error("the model's external data '" + entry.value() +
                       "' cannot be reached from there; write the annotated model beside the model");
        entry.set_value(moved);
      }
    return {};
  }

  std::string prefix;
};

} // namespace

Result<std::vector<Annotations>> mpopt::readAnnotations(const std::string &path) {
  auto model = parseModel(path);
  if (!model)
    return tl::unexpected(model.error());
  std::vector<Annotations> result;
  for (const auto &configuration : model->configuration())
    result.push_back({configuration.name(), configuration.num_devices(), {}});
  for (const proto::NodeProto &node : model->graph().node())
    for (const auto &given : node.device_configurations()) {
      auto it = std::find_if(result.begin(), result.end(),
                             [&](const Annotations &a) { return a.configuration == given.configuration_id(); });
      if (it == result.end())
        return error("'" + path + "': node " + nameOf(node) + " is annotated for the configuration '" +
                     given.configuration_id() + "', which the model does not define");
      auto read = readNode(node, given, path);
      if (!read)
        return tl::unexpected(read.error());
      it->nodes.push_back(std::move(*read));
    }
  return result;
}

Result<std::vector<NodeTensors>> mpopt::readNodes(const std::string &path) {
  auto model = parseModel(path);
  if (!model)
    return tl::unexpected(model.error());
  std::vector<NodeTensors> nodes;
  for (const proto::NodeProto &node : model->graph().node())
    nodes.push_back(
        {nameOf(node), {node.input().begin(), node.input().end()}, {node.output().begin(), node.output().end()}});
  return nodes;
}

Result<std::string> mpopt::annotateModel(const std::string &path, const Annotations &annotations,
                                         const std::string &output) {
  // With the weights that lie inside, which parseModel() leaves out.
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  proto::ModelProto model;
  if (!buffer || (*buffer)->getBufferSize() > INT_MAX ||
      !model.ParseFromArray((*buffer)->getBufferStart(), static_cast<int>((*buffer)->getBufferSize())))
    return error("cannot read '" + path + "' once more to annotate it");
  constexpr int64_t kIrVersion = 11;
  model.set_ir_version(std::max<int64_t>(model.ir_version(), kIrVersion));
  auto isOld = [&](const auto &entry) { return entry.name() == annotations.configuration; };
  auto *configurations = model.mutable_configuration();
  configurations->erase(std::remove_if(configurations->begin(), configurations->end(), isOld), configurations->end());
  auto *configuration = model.add_configuration();
  configuration->set_name(annotations.configuration);
  configuration->set_num_devices(static_cast<int32_t>(annotations.devices));
  std::map<std::string, const NodeAnnotation *> byNode;
  for (const NodeAnnotation &node : annotations.nodes)
    byNode.try_emplace(node.node, &node);
  for (proto::NodeProto &node : *model.mutable_graph()->mutable_node()) {
    auto *given = node.mutable_device_configurations();
    given->erase(std::remove_if(given->begin(), given->end(),
                                [&](const auto &c) { return c.configuration_id() == annotations.configuration; }),
                 given->end());
    if (auto it = byNode.find(nameOf(node)); it != byNode.end())
      *node.add_device_configurations() = write(*it->second, annotations.configuration);
  }
  std::string from = llvm::sys::path::parent_path(path).str(), to = llvm::sys::path::parent_path(output).str();
  if (Status moved = Mover(from, to).move(*model.mutable_graph()); !moved)
    return tl::unexpected(moved.error());
  return model.SerializeAsString();
}
