#ifndef MPOPT_LIB_SCHEDULE_INITTIME_H
#define MPOPT_LIB_SCHEDULE_INITTIME_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseSet.h"

namespace mpopt::schedule {

/// The operations of a program of kernel calls and communication, apart from those that need only weights, constants and the device's place, and
/// so run once at load.
struct ProgramTimes {
  llvm::DenseSet<mlir::Value> initValues;
  llvm::SmallVector<mlir::Operation *> runOps; ///< In order; reshapes, which are views, are in neither.
};

ProgramTimes classify(mlir::func::FuncOp program);

} // namespace mpopt::schedule

#endif // MPOPT_LIB_SCHEDULE_INITTIME_H
