#ifndef MPOPT_RUNTIME_CORE_CLOCK_H
#define MPOPT_RUNTIME_CORE_CLOCK_H

#include <chrono>
#include <cstdint>

namespace mpopt::runtime {

/// Nanoseconds of a clock that all processes of a host share.
inline int64_t now() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_CLOCK_H
