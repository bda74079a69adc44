#ifndef MPOPT_DIALECT_RT_PROGRAMS_H
#define MPOPT_DIALECT_RT_PROGRAMS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mpopt::rt {

/// The functions of a module that become programs: @main, or one per stage. All but kernels.
llvm::SmallVector<mlir::func::FuncOp> getProgramFunctions(mlir::ModuleOp module);

} // namespace mpopt::rt

#endif // MPOPT_DIALECT_RT_PROGRAMS_H
