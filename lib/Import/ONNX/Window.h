#ifndef MPOPT_LIB_IMPORT_ONNX_WINDOW_H
#define MPOPT_LIB_IMPORT_ONNX_WINDOW_H

#include "Node.h"

namespace mpopt::onnx {

/// Window parameters of one convolution or pool, per spatial dimension.
struct Window {
  SmallVector<int64_t> kernel, strides, dilations, begin, end;

  SmallVector<mlir::NamedAttribute> attributes(Node &n) const {
    return {n.integers("strides", strides), n.integers("dilations", dilations), n.integers("pads_begin", begin),
            n.integers("pads_end", end)};
  }
  int64_t extent(size_t i) const { return dilations[i] * (kernel[i] - 1) + 1; }
};

/// Reads strides, dilations and pads of windows of the shape `kernel` on images of so many spatial dimensions. nullopt after an error.
std::optional<Window> readWindow(Node &n, ArrayRef<int64_t> kernel, int64_t dimensions);
/// auto_pad: SAME_* pads so that there are ceil(size / stride) positions, the odd element after (UPPER) or before.
void applyAutoPad(Node &n, Window &w, ArrayRef<int64_t> sizes);

/// Convolutions and pools compute in f32 where the model holds numbers of 8 or 16 bits.
Value widened(Node &n, Value x);
/// `result` of widened operands in the element type of `like`.
Value narrowed(Node &n, Value result, Value like);

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_WINDOW_H
