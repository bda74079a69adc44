#ifndef MPOPT_RUNTIME_DEVICE_DEVICE_H
#define MPOPT_RUNTIME_DEVICE_DEVICE_H

#include "core/PlanAccess.h"

#include <memory>
#include <vector>

namespace mpopt::runtime {

/// A buffer of one rank, resolved to an address on its device. The shape points into the plan.
struct BufferView {
  std::byte *data = nullptr;
  uint64_t bytes = 0;
  plan::DType dtype = plan::DType::f32;
  std::span<const int64_t> shape;
  bool constant = false; // its contents are final when the launch is prepared
};

struct Operands {
  std::vector<BufferView> reads, writes;
};

/// One prepared piece of work, bound to its operands and its stream.
class Launch {
public:
  virtual ~Launch() = default;
  /// Submits the work to its stream; it may return before the work is done. Allocates no memory. Failures that show later come
  /// from Device::synchronize.
  virtual Status submit() = 0;
};
using LaunchPtr = std::unique_ptr<Launch>;

/// What one rank executes on. All calls come from the rank's own thread.
class Device {
public:
  virtual ~Device() = default;

  /// The rank's arena, zero-filled and aligned to 64 bytes at least; called once.
  virtual Result<std::byte *> allocateArena(uint64_t bytes) = 0;
  /// Zero-filled memory for a weight that init instructions make.
  virtual Result<std::byte *> allocateWeight(uint64_t bytes) = 0;
  /// Where the device can read constant host memory that outlives it: the same place, or a copy.
  virtual Result<std::byte *> placeConstant(std::span<const std::byte> host) = 0;

  virtual Result<LaunchPtr> prepareKernel(uint32_t kernel, const Operands &operands, unsigned stream) = 0;
  virtual Result<LaunchPtr> prepareCopy(const BufferView &from, const BufferView &to, unsigned stream) = 0;

  /// Events order streams: a wait on a stream holds back what is submitted to it later until the event's latest record is reached.
  virtual Result<unsigned> createEvent() = 0;
  virtual Status recordEvent(unsigned event, unsigned stream) = 0;
  virtual Status waitEvent(unsigned event, unsigned stream) = 0;

  /// Copies between host and device, on stream 0.
  virtual Status upload(std::byte *device, const std::byte *host, uint64_t bytes) = 0;
  virtual Status download(std::byte *host, const std::byte *device, uint64_t bytes) = 0;
  /// Returns when all submitted work is done.
  virtual Status synchronize() = 0;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_DEVICE_DEVICE_H
