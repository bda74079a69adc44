#ifndef MPOPT_IMPORT_ONNX_ANNOTATIONS_H
#define MPOPT_IMPORT_ONNX_ANNOTATIONS_H

#include "mpopt/Support/Result.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mpopt {

/// How one dimension is split, as ONNX's ShardedDimProto says it: `blocks` equal blocks dealt out to `shards` devices, in whole blocks.
struct DimAnnotation {
  int64_t axis = 0; ///< Negative: from the back.
  int64_t shards = 1;
  std::optional<int64_t> blocks; ///< Where the file says it; else single elements.
};

/// How one input or output of a node is spread (ShardingSpecProto). Dimensions that are not listed are whole.
struct TensorAnnotation {
  std::string tensor;
  std::vector<DimAnnotation> dims;
  /// Per shard, in row-major order of `dims`, the devices that hold it; empty where the file does not say.
  std::vector<std::vector<int64_t>> devices;
};

/// What a model says of one node. `node` is the name that its operators have in mpopt's IR.
struct NodeAnnotation {
  std::string node;
  std::vector<TensorAnnotation> tensors;
  std::optional<int64_t> stage; ///< pipeline_stage.
};

/// One of a model's multi-device configurations (ONNX IR 11).
struct Annotations {
  std::string configuration;
  int64_t devices = 0;
  std::vector<NodeAnnotation> nodes;
};

/// The names of a node's tensors, for those who read or write annotations.
struct NodeTensors {
  std::string node;
  std::vector<std::string> inputs, outputs;
};

/// All configurations of the model in a file; none where it has none. Nodes in the bodies of control flow and of functions are left out. Errors
/// name the file, and the node whose annotation is malformed.
Result<std::vector<Annotations>> readAnnotations(const std::string &path);

/// The nodes of the graph in a file, in its order.
Result<std::vector<NodeTensors>> readNodes(const std::string &path);

/// The model of `path` with these annotations in place of earlier ones of that configuration's name, as the bytes of an ONNX file for `output`: the
/// IR version is raised to 11 where it is lower, and references to external data are made relative to the output's folder. Error: the
/// data could not be found from there.
Result<std::string> annotateModel(const std::string &path, const Annotations &annotations, const std::string &output);

} // namespace mpopt

#endif // MPOPT_IMPORT_ONNX_ANNOTATIONS_H
