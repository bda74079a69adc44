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
  size_t ranks = items(plan.ranks()).size();
  std::vector<PortImage> images(ranks * port.parts());
  for (size_t slot = 0; slot < images.size(); ++slot) {
    int32_t index = numbers(port.buffers())[slot];
    if (index < 0)
      continue;
    const plan::Buffer &buffer = bufferOf(plan, slot % ranks, index);
    uint64_t bytes = *elementCount(numbers(buffer.shape())) * sizeOf(buffer.dtype());
    images[slot] = {static_cast<uint32_t>(index), end, bytes, true};
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
  size_t ranks = items(plan.ranks()).size();
  for (size_t slot = 0; slot < images.size(); ++slot) {
    if (!images[slot].held)
      continue;
    const plan::Box &box = *items(port.boxes())[slot];
    auto local = numbers(bufferOf(plan, slot % ranks, images[slot].buffer).shape());
    std::vector<int64_t> origin(local.size());
    std::memset(area + images[slot].offset, 0, images[slot].bytes);
    StridedRuns(numbers(box.size()), global.shape, numbers(box.start()), local, origin, sizeOf(port.dtype()))
        .copy(global.data.data(), area + images[slot].offset);
  }
}

Tensor gatherOutput(const plan::Plan &plan, const plan::Port &port, std::span<const PortImage> images,
                    const std::byte *area) {
  Tensor global{port.dtype(), {}, {}};
  auto shape = numbers(port.shape());
  global.shape.assign(shape.begin(), shape.end());
  global.data.resize(*elementCount(shape) * sizeOf(port.dtype()));
  size_t ranks = items(plan.ranks()).size();
  for (size_t slot = images.size(); slot-- > 0;) { // the lowest rank last, so that it wins
    if (!images[slot].held)
      continue;
    const plan::Box &box = *items(port.boxes())[slot];
    auto local = numbers(bufferOf(plan, slot % ranks, images[slot].buffer).shape());
    std::vector<int64_t> origin(local.size());
    StridedRuns(numbers(box.size()), local, origin, shape, numbers(box.start()), sizeOf(port.dtype()))
        .copy(area + images[slot].offset, global.data.data());
  }
  return global;
}

} // namespace mpopt::runtime
