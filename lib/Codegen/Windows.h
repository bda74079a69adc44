#ifndef MPOPT_LIB_CODEGEN_WINDOWS_H
#define MPOPT_LIB_CODEGEN_WINDOWS_H

#include "Lower.h"

namespace mpopt::codegen {

/// Windows over the spatial dimensions of [n, spatial.., channels]: output o reads input o * stride - begin + tap * dilation, where that exists.
struct Windows {
  llvm::SmallVector<int64_t> kernel, strides, dilations, begin;
  llvm::SmallVector<int64_t> input, output; ///< spatial sizes

  template <typename OpT> static Windows of(OpT op, llvm::ArrayRef<int64_t> kernel) {
    llvm::ArrayRef<int64_t> in = tensorType(op.getInput()).getShape(), out = tensorType(op.getResult()).getShape();
    auto copy = [](llvm::ArrayRef<int64_t> values) { return llvm::SmallVector<int64_t>(values); };
    return {copy(kernel),
            copy(op.getStrides()),
            copy(op.getDilations()),
            copy(op.getPadsBegin()),
            copy(in.drop_front().drop_back()),
            copy(out.drop_front().drop_back())};
  }
  size_t last() const { return kernel.size() - 1; }
};

/// Taps [from, to) of the last spatial dimension, which read real elements exactly for the rows [firstRow, endRow) of a block.
struct Segment {
  int64_t from, to, firstRow, endRow;
};

/// Neighbouring outputs along the last spatial dimension, computed together: `rows` from `start`, and, with count > 1, as many equal
/// blocks one after the other.
struct RowBlock {
  int64_t start, rows, count;
  llvm::SmallVector<Segment> segments;
};

/// Cuts a line of outputs into blocks of at most `mostRows`, as equal as possible. What padding changes is known for each
/// block when code is generated, so that borders cost no instruction.
llvm::SmallVector<RowBlock> rowBlocks(const Windows &windows, int64_t mostRows);

/// Visits the blocks in order: `body` gets the first output's index.
void forEachBlock(Emitter &e, llvm::ArrayRef<RowBlock> blocks,
                  const std::function<void(mlir::Value start, const RowBlock &block)> &body);

/// The taps [from, to) of spatial dimension `dim` that read real elements for output `at`.
std::pair<mlir::Value, mlir::Value> tapBounds(Emitter &e, const Windows &windows, size_t dim, mlir::Value at);

/// Loops over the taps of all spatial dimensions but the last that read real elements for the outputs `line`: `body` gets the tap and the
/// input's index, one of each per dimension.
llvm::SmallVector<mlir::Value> overOuterTaps(
    Emitter &e, const Windows &windows, llvm::ArrayRef<mlir::Value> line, mlir::ValueRange carried,
    const std::function<llvm::SmallVector<mlir::Value>(llvm::ArrayRef<mlir::Value> taps,
                                                       llvm::ArrayRef<mlir::Value> positions, mlir::ValueRange)> &body);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_WINDOWS_H
