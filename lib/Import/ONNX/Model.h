#ifndef MPOPT_LIB_IMPORT_ONNX_MODEL_H
#define MPOPT_LIB_IMPORT_ONNX_MODEL_H

#include "Dims.h"
#include "mpopt/Support/Result.h"
#include "onnx/onnx_pb.h"

namespace mpopt::onnx {

namespace proto = mpopt_onnx;

/// Operator sets that the lowerings are written for; older models are converted to the first.
inline constexpr int64_t kOldestOpset = 18;

/// The model of a file as it is, but that large tensors are external data, of the file itself where the location is empty.
Result<proto::ModelProto> parseModel(llvm::StringRef path);

/// The model of a file: large tensors are external data (of the file itself where the location is empty), input shapes are
/// bound, the model's own functions inlined, and the operator set is kOldestOpset at least.
Result<proto::ModelProto> loadModel(llvm::StringRef path, llvm::ArrayRef<std::string> dimFlags);

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_MODEL_H
