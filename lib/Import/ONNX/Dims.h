#ifndef MPOPT_LIB_IMPORT_ONNX_DIMS_H
#define MPOPT_LIB_IMPORT_ONNX_DIMS_H

#include "mpopt/Support/Result.h"
#include "llvm/ADT/ArrayRef.h"

namespace mpopt_onnx {
class GraphProto;
}

namespace mpopt::onnx {

/// Gives every dimension of the graph's inputs a size: its own, or that of a flag "DIM=SIZE" or "INPUT=AxBxC". An error
/// names the input, the dimension and the flag to use.
Status bindDims(mpopt_onnx::GraphProto &graph, llvm::ArrayRef<std::string> flags);

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_DIMS_H
