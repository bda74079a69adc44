#ifndef MPOPT_DIALECT_SHD_BLOCKS_H
#define MPOPT_DIALECT_SHD_BLOCKS_H

#include "llvm/Support/MathExtras.h"

namespace mpopt::shd {

/// Elements on each device when `size` are split over `devices` in units of `block`: padded to whole units on every device, but whole as
/// they are on a single one.
inline int64_t localSize(int64_t size, int64_t block, int64_t devices) {
  return devices == 1 ? size : llvm::divideCeilSigned(llvm::divideCeilSigned(size, block), devices) * block;
}

/// The smallest block that gives the same local size as `block`.
inline int64_t smallestBlock(int64_t size, int64_t block, int64_t devices) {
  int64_t local = localSize(size, block, devices), smallest = 1;
  while (smallest < block && (size % smallest || localSize(size, smallest, devices) != local))
    ++smallest;
  return smallest;
}

} // namespace mpopt::shd

#endif // MPOPT_DIALECT_SHD_BLOCKS_H
