#ifndef MPOPT_DIALECT_SHD_BLOCKS_H
#define MPOPT_DIALECT_SHD_BLOCKS_H

#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <numeric>
#include <optional>

namespace mpopt::shd {

/// Elements on each device when `size` are split over `devices` in units of `block`: padded to whole units on every device, but whole as
/// they are on a single one.
inline int64_t localSize(int64_t size, int64_t block, int64_t devices) {
  return devices == 1 ? size : llvm::divideCeilSigned(llvm::divideCeilSigned(size, block), devices) * block;
}

/// The smallest block that divides `size` and gives `local` elements on each of several devices (all of them on a single one); nullopt where none does.
///
/// A block must divide `local`, too: ceil(size / block / devices) = local / block, which for such a block says no more than
/// local - block < size / devices <= local. So it is a divisor of gcd(size, local), the first past that bound.
inline std::optional<int64_t> blockThatGives(int64_t size, int64_t local, int64_t devices) {
  if (devices == 1 || local == 0)
    return local == size ? std::optional<int64_t>(1) : std::nullopt;
  int64_t even = llvm::divideCeilSigned(size, devices);
  if (local < even || local > size)
    return std::nullopt;
  int64_t common = std::gcd(size, local), least = local - even + 1;
  int64_t block = least;
  for (; block <= common / block; ++block)
    if (common % block == 0)
      return block;
  for (int64_t count = common / block; count >= 1; --count) // divisors beyond the root are what small ones leave
    if (common % count == 0 && common / count >= least)
      return common / count;
  return std::nullopt;
}

/// The smallest block that gives the same local size as `block`.
inline int64_t smallestBlock(int64_t size, int64_t block, int64_t devices) {
  return std::min(block, blockThatGives(size, localSize(size, block, devices), devices).value_or(block));
}

} // namespace mpopt::shd

#endif // MPOPT_DIALECT_SHD_BLOCKS_H
