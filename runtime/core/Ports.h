#ifndef MPOPT_RUNTIME_CORE_PORTS_H
#define MPOPT_RUNTIME_CORE_PORTS_H

#include "core/Npy.h"

namespace mpopt::runtime {

/// One part of a model input or output in host memory: what its buffer holds, at `offset` in the host area.
struct PortImage {
  uint32_t buffer = 0; // in the rank's program
  uint64_t offset = 0, bytes = 0;
  bool held = false; // whether the rank has this part at all
};

/// Where the images of all ranks' inputs and outputs lie in one host area: [port][part * ranks + rank].
struct PortLayout {
  std::vector<std::vector<PortImage>> inputs, outputs;
  uint64_t bytes = 0;
  static PortLayout of(const plan::Plan &plan);
};

/// Copies each box of `global` to its image; what lies outside a box is set to zero.
void scatterInput(const plan::Plan &plan, const plan::Port &port, const Tensor &global,
                  std::span<const PortImage> images, std::byte *area);
/// Puts the ranks' boxes together; where several ranks hold an element the lowest is taken.
Tensor gatherOutput(const plan::Plan &plan, const plan::Port &port, std::span<const PortImage> images,
                    const std::byte *area);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_PORTS_H
