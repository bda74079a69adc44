#include "core/Ports.h"
#include "core/Strided.h"

#include <algorithm>
#include <cstring>

namespace mpopt::runtime {
namespace {

constexpr uint64_t kAlignment = 64;

const plan::Buffer &bufferOf(const plan::Plan &plan, size_t rank, uint32_t index) {
  return *items(items(plan.programs())[items(plan.ranks())[rank]->program()]->buffers())[index];
}

std::vector<PortImage> layOut(const plan::Plan &plan, const plan::Port &port, uint64_t &end) {
  std::vector<PortImage> images(items(plan.ranks()).size());
  for (size_t rank = 0; rank < images.size(); ++rank) {
    int32_t index = numbers(port.buffers())[rank];
    if (index < 0)
      continue;
    const plan::Buffer &buffer = bufferOf(plan, rank, index);
    uint64_t bytes = *elementCount(numbers(buffer.shape())) * sizeOf(buffer.dtype());
    images[rank] = {static_cast<uint32_t>(index), end, bytes, true};
    end += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  return images;
}

} // namespace

PortLayout PortLayout::of(const plan::Plan &plan) {
  PortLayout layout;
  for (const plan::Port *port : items(plan.inputs()))
    layout.inputs.push_back(layOut(plan, *port, layout.bytes));
  for (const plan::Port *port : items(plan.outputs()))
    layout.outputs.push_back(layOut(plan, *port, layout.bytes));
  return layout;
}

void scatterInput(const plan::Plan &plan, const plan::Port &port, const Tensor &global,
                  std::span<const PortImage> images, std::byte *area) {
  for (size_t rank = 0; rank < images.size(); ++rank) {
    if (!images[rank].held)
      continue;
    const plan::Box &box = *items(port.boxes())[rank];
    auto local = numbers(bufferOf(plan, rank, images[rank].buffer).shape());
    std::vector<int64_t> origin(local.size());
    std::memset(area + images[rank].offset, 0, images[rank].bytes);
    StridedRuns(numbers(box.size()), global.shape, numbers(box.start()), local, origin, sizeOf(port.dtype()))
        .copy(global.data.data(), area + images[rank].offset);
  }
}

Tensor gatherOutput(const plan::Plan &plan, const plan::Port &port, std::span<const PortImage> images,
                    const std::byte *area) {
  Tensor global{port.dtype(), {}, {}};
  auto shape = numbers(port.shape());
  global.shape.assign(shape.begin(), shape.end());
  global.data.resize(*elementCount(shape) * sizeOf(port.dtype()));
  for (size_t rank = images.size(); rank-- > 0;) { // the lowest rank last, so that it wins
    if (!images[rank].held)
      continue;
    const plan::Box &box = *items(port.boxes())[rank];
    auto local = numbers(bufferOf(plan, rank, images[rank].buffer).shape());
    std::vector<int64_t> origin(local.size());
    StridedRuns(numbers(box.size()), local, origin, shape, numbers(box.start()), sizeOf(port.dtype()))
        .copy(area + images[rank].offset, global.data.data());
  }
  return global;
}

} // namespace mpopt::runtime
