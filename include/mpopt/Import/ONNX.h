#ifndef MPOPT_IMPORT_ONNX_H
#define MPOPT_IMPORT_ONNX_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace mpopt {

struct ImportOptions {
  /// What binds dimensions that the model leaves open: "NAME=SIZE" for a symbolic dimension, "INPUT=AxBxC" for all of an input's.
  std::vector<std::string> dims;
};

/// Reads an ONNX file into a module of nn operators on static shapes: `func.func @main`, arguments and results named by
/// `nn.name`, the file's name in `nn.model`. No weight is read: initializers become nn.weight handles, except small ones inside
/// the file. Shapes and constants are propagated; the rest is as the model has it. Errors are diagnostics that name the ONNX
/// node, the file or the flag.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> importOnnx(mlir::MLIRContext &context, llvm::StringRef path,
                                                              const ImportOptions &options);

/// Whether every weight of the module is there: its file lies under `modelDir`, also after following links, and is long
/// enough. Errors are diagnostics.
mlir::LogicalResult checkWeights(mlir::ModuleOp module, llvm::StringRef modelDir);

} // namespace mpopt

#endif // MPOPT_IMPORT_ONNX_H
