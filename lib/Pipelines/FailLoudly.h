#ifndef MPOPT_LIB_PIPELINES_FAILLOUDLY_H
#define MPOPT_LIB_PIPELINES_FAILLOUDLY_H

#include "mlir/IR/MLIRContext.h"
#include "mlir/Support/LLVM.h"

namespace mpopt {

/// Does some work; where it fails and no error was emitted meanwhile, emits one that names the phase it was in then.
llvm::LogicalResult failLoudly(mlir::MLIRContext &context, const std::string &phase,
                               llvm::function_ref<llvm::LogicalResult()> work);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_FAILLOUDLY_H
