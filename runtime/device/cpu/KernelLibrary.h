#ifndef MPOPT_RUNTIME_DEVICE_CPU_KERNELLIBRARY_H
#define MPOPT_RUNTIME_DEVICE_CPU_KERNELLIBRARY_H

#include "core/PlanAccess.h"

#include <vector>

namespace mpopt::runtime {

/// The compiled kernels of a plan, loaded into this process.
class KernelLibrary {
public:
  using Kernel = void (*)(void *const *args);

  /// Checks that this processor runs what the kernels were compiled for, and finds every kernel.
  static Result<KernelLibrary> load(const plan::Plan &plan);
  KernelLibrary(KernelLibrary &&other) noexcept;
  KernelLibrary &operator=(KernelLibrary &&) = delete;
  ~KernelLibrary();

  Kernel operator[](size_t kernel) const { return kernels[kernel]; }

private:
  KernelLibrary() = default;
  void *handle = nullptr;
  std::vector<Kernel> kernels;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_DEVICE_CPU_KERNELLIBRARY_H
