#ifndef MPOPT_TEST_SUPPORT_INTERP_WRAP_H
#define MPOPT_TEST_SUPPORT_INTERP_WRAP_H

#include <cstdint>

namespace mpopt::interp {

/// Arithmetic of tensors' numbers: of integers it wraps.
struct Wrap {
  static int64_t add(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
  static int64_t sub(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  }
  static int64_t mul(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
  static double add(double a, double b) { return a + b; }
  static double sub(double a, double b) { return a - b; }
  static double mul(double a, double b) { return a * b; }
};

} // namespace mpopt::interp

#endif // MPOPT_TEST_SUPPORT_INTERP_WRAP_H
