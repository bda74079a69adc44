#ifndef MPOPT_LIB_PIPELINES_LIVES_H
#define MPOPT_LIB_PIPELINES_LIVES_H

#include "mpopt/Dialect/RT/RT.h"
#include <optional>
#include <vector>

namespace mpopt {

/// Bytes of the run-time arena.
struct Region {
  int64_t begin = 0, end = 0;

  bool overlaps(const Region &other) const { return begin < other.end && other.begin < end; }
};

int64_t bytesOf(mlir::Value buffer);

/// Where a buffer lies in the run-time arena; nothing where it lies elsewhere.
std::optional<Region> regionOf(mlir::Value buffer);

mlir::ValueRange readsOf(mlir::Operation *instruction);
mlir::ValueRange writesOf(mlir::Operation *instruction);

/// The instructions of a program that run in each step, in order.
std::vector<mlir::Operation *> stepInstructions(rt::ProgramOp program);

/// Per instruction, the bytes of the arena that hold a value which is still needed.
std::vector<int64_t> liveBytesOf(rt::ProgramOp program, llvm::ArrayRef<mlir::Operation *> instructions);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_LIVES_H
