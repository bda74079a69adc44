#ifndef MPOPT_LIB_IMPORT_ONNX_WIRE_H
#define MPOPT_LIB_IMPORT_ONNX_WIRE_H

#include "mpopt/Support/Result.h"
#include "llvm/ADT/StringRef.h"

namespace mpopt::onnx {

/// A serialised ModelProto without the contents of its large tensors: in their place stands external data whose location is
/// empty, with the offset and length of the bytes inside `model`. Works on the wire format, so nothing is loaded.
Result<std::string> cutTensors(llvm::StringRef model);

/// Bytes of floats, and of other elements, up to which a tensor's contents stay: scalars, axes, shapes, index tables.
inline constexpr size_t kMaxInlineFloatBytes = 1024, kMaxInlineBytes = 65536;

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_WIRE_H
