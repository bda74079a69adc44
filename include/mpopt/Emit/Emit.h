#ifndef MPOPT_EMIT_EMIT_H
#define MPOPT_EMIT_EMIT_H

#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace mpopt::emit {

struct EmitOptions {
  std::string output;   // path of the plan; the weights file goes beside it
  std::string modelDir; // folder that external data is relative to
  std::string model;    // file name of the model
  std::string cpu;      // instruction set of the kernels: x86-64-v3, x86-64-v4
  std::string machine;  // machine's name, for people
  bool streams = false; // whether a stage may begin its next step while others still run this one
};

/// Memory of one device, in bytes.
struct DeviceMemory {
  int64_t work = 0, weights = 0;
};

/// What each device holds at run time, those of the first stage first, from a module with an rt.program per stage.
llvm::SmallVector<DeviceMemory> getDeviceMemory(mlir::ModuleOp module);

/// Writes the plan of a module with an rt.program per stage, and its weights file, computed by running the programs' init instructions with the
/// kernels in `elf`. That no rank waits forever is checked before. `account` (JSON) is stored as it is. Both files appear whole or not at all. Errors go to the module's diagnostics.
mlir::LogicalResult emitPlan(mlir::ModuleOp module, llvm::ArrayRef<char> elf, llvm::StringRef account,
                             const EmitOptions &options);

} // namespace mpopt::emit

#endif // MPOPT_EMIT_EMIT_H
