#ifndef MPOPT_RUNTIME_DEVICE_LIBRARY_H
#define MPOPT_RUNTIME_DEVICE_LIBRARY_H

#include "device/Device.h"

namespace mpopt::runtime {

/// The library kernels' parameters, checked against their operands. Tensors are f32, dense row-major, with 1 to 3 spatial dimensions
/// (x [n, c, s...], y [n, o, s...]); each list has one number per spatial dimension.
///
///   conv      reads x, w [o, c / groups, k...], optional bias [o]; writes y. strides, dilations, pads_begin, pads_end, groups
///             (default 1), relu (default 0: 1 makes negative results 0)
///   max_pool  reads x; writes y. kernel, strides, dilations, pads_begin, pads_end; padding never wins
///   avg_pool  the same, and count_include_pad (default 0): whether the divisor counts padding
///
/// Dilations of 1 are dense. y's size is floor((x + pads - (dilation * (k - 1) + 1)) / stride) + 1 in each spatial dimension.
struct WindowParams {
  enum class Kind { conv, maxPool, avgPool };
  Kind kind = Kind::conv;
  std::vector<int64_t> kernel, strides, dilations, padsBegin, padsEnd;
  int64_t groups = 1;
  bool relu = false;
  bool countIncludePad = false;

  /// Reads and checks the attributes; says what does not fit. Attributes with a dot in their name are annotations.
  static Result<WindowParams> parse(const plan::LibraryCall &call, const Operands &operands);
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_DEVICE_LIBRARY_H
