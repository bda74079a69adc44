#ifndef MPOPT_LIB_CODEGEN_LOWERKERNEL_H
#define MPOPT_LIB_CODEGEN_LOWERKERNEL_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mpopt/Codegen/Codegen.h"

namespace mpopt::codegen {

/// Emits `function` (nn ops on tensors) into `into` as an LLVM function of that name with the kernels' calling convention. Its body is scf,
/// arith, math, vector and LLVM ops.
mlir::LogicalResult lowerKernel(mlir::func::FuncOp function, mlir::ModuleOp into, const CpuTarget &target);

/// The shared library, linked from one relocatable object.
mlir::FailureOr<llvm::SmallVector<char>> linkShared(llvm::ArrayRef<char> object, mlir::Location loc);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_LOWERKERNEL_H
