#ifndef MPOPT_IMPORT_ONNX_INSPECT_H
#define MPOPT_IMPORT_ONNX_INSPECT_H

#include "mpopt/Support/Result.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mpopt {

/// A dimension of an input or output: a size, or a name that --dim can bind, or neither.
struct DimSummary {
  std::optional<int64_t> size;
  std::string symbol;
};

struct PortSummary {
  std::string name, type; ///< "float32"; another kind of value has its ONNX name.
  bool hasShape = false;
  std::vector<DimSummary> dims;
};

struct OperatorSummary {
  std::string domain, name; ///< The domain is empty for ONNX's own.
  int64_t count = 0;
  bool supported = true;
  std::string firstNode;
};

/// Parameters of one type: initializers, and constants of more than 1 KiB.
struct ParameterSummary {
  std::string type;
  int64_t tensors = 0, elements = 0, bytes = 0;
};

/// A file that holds parameters; `file` as the model names it, empty for the model itself.
struct DataFileSummary {
  std::string file;
  int64_t tensors = 0, bytes = 0;
  uint64_t needed = 0;          ///< Size that the file must have at least.
  std::optional<uint64_t> size; ///< That it has; nothing when it is missing.
  std::string problem;          ///< What is wrong with it; empty when nothing is.
};

/// Nodes that occur `count` times in a row.
struct BlockSummary {
  std::string first, last; ///< What the first and the last copy are called.
  int64_t count = 0, nodes = 0;
};

/// What an ONNX file says about itself.
struct ModelSummary {
  std::string name, producer;
  int64_t irVersion = 0, nodes = 0, functions = 0;
  std::vector<std::pair<std::string, int64_t>> opsets; ///< By domain; "ai.onnx" is ONNX's own.
  std::vector<PortSummary> inputs, outputs;
  std::vector<OperatorSummary> operators; ///< The most frequent first; those of branches and loops' bodies included.
  std::vector<ParameterSummary> parameters;
  std::vector<DataFileSummary> files;
  std::vector<BlockSummary> blocks;
};

/// Reads the graph of an ONNX file, nothing of its weights. Works on any ONNX model, whether it can be imported or not. An error names the
/// file.
Result<ModelSummary> inspectModel(const std::string &path);

} // namespace mpopt

#endif // MPOPT_IMPORT_ONNX_INSPECT_H
