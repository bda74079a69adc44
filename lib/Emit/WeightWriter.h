#ifndef MPOPT_LIB_EMIT_WEIGHTWRITER_H
#define MPOPT_LIB_EMIT_WEIGHTWRITER_H

#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Emit/SourceFiles.h"

namespace mpopt::emit {

/// Where a device finds one weights buffer in the weights file.
struct WeightPlace {
  uint64_t offset = 0, bytes = 0;
};

/// Computes the weights buffers of a program for every device, by running its init instructions, into one file.
///
/// A weight depends on the device only through the mesh axes of the coll.index values that it is made from: devices that agree on
/// those share one copy.
class WeightWriter {
public:
  /// The program's weights begin at byte `firstByte` of the file, those of earlier programs before.
  WeightWriter(rt::ProgramOp program, shd::MeshAttr mesh, uint64_t firstByte = 0);

  /// Places of weight w on device d: places()[d][w]. Known before anything is computed.
  llvm::ArrayRef<std::vector<WeightPlace>> places() const { return devicePlaces; }
  /// Where the program's weights end in the file.
  uint64_t fileBytes() const { return totalBytes; }

  /// Writes the program's part of the file, which starts at `image` and is zero there. `elf` holds the kernels; sources are read through `files`.
  mlir::LogicalResult write(char *image, llvm::ArrayRef<char> elf, SourceFiles &files);

private:
  struct Weight {
    rt::BufferOp buffer;
    llvm::SmallVector<mlir::StringAttr> axes; // that its contents depend on
    llvm::SmallVector<mlir::Operation *> recipe;
  };

  void trace(Weight &weight);
  void place();
  mlir::LogicalResult compute(const Weight &weight, int64_t device, char *target, void *library, SourceFiles &files);
  mlir::LogicalResult fill(rt::BufferOp buffer, int64_t device, char *target);

  rt::ProgramOp program;
  shd::MeshAttr mesh;
  std::vector<Weight> weights;
  llvm::DenseMap<std::pair<mlir::Operation *, mlir::Value>, mlir::Operation *>
      workWriters;                                          // of what an instruction reads
  llvm::DenseMap<int64_t, mlir::Operation *> weightWriters; // by the weight's number
  std::vector<std::vector<WeightPlace>> devicePlaces;
  uint64_t totalBytes;
  std::vector<char> arena;
};

/// Size in bytes of a buffer's tensor.
uint64_t getBytes(rt::BufferOp buffer);

} // namespace mpopt::emit

#endif // MPOPT_LIB_EMIT_WEIGHTWRITER_H
