#ifndef MPOPT_RUNTIME_DEVICE_CPU_WINDOWLIBRARY_H
#define MPOPT_RUNTIME_DEVICE_CPU_WINDOWLIBRARY_H

#include "device/Library.h"

namespace mpopt::runtime {

/// Convolution and pooling by oneDNN on the calling thread alone. Constant weights are brought into oneDNN's own layout when a
/// launch is prepared. Where a convolution computes much per byte, x and y pass through blocked layouts too: plain ones cost oneDNN
/// a third of its speed there.
class WindowLibrary {
public:
  WindowLibrary();
  ~WindowLibrary();
  Result<LaunchPtr> prepare(const plan::LibraryCall &call, const Operands &operands);

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_DEVICE_CPU_WINDOWLIBRARY_H
