#ifndef MPOPT_LIB_IMPORT_ONNX_TENSORS_H
#define MPOPT_LIB_IMPORT_ONNX_TENSORS_H

#include "mlir/IR/Builders.h"
#include "mpopt/Support/Result.h"

namespace mpopt_onnx {
class TensorProto;
}

namespace mpopt::onnx {

/// MLIR's element type of a TensorProto.DataType; null for strings, complex numbers and what MLIR lacks.
mlir::Type elementTypeOf(mlir::MLIRContext *context, int64_t dataType);
/// The inverse, 0 when there is none.
int dataTypeOf(mlir::Type element);

/// Builds an nn.constant of a tensor whose data is at hand, or an nn.weight of one whose data lies in a file: that of its
/// external data, or `modelFile` where the location is empty. Reads no file.
Result<mlir::Value> buildTensor(mlir::OpBuilder &builder, mlir::Location loc, const mpopt_onnx::TensorProto &tensor,
                                llvm::StringRef name, llvm::StringRef modelFile);

/// Whether an external path stays inside of the model's folder as written: relative, and never above it.
bool staysInside(llvm::StringRef path);

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_TENSORS_H
