#ifndef MPOPT_RUNTIME_DEVICE_CPU_CPUDEVICE_H
#define MPOPT_RUNTIME_DEVICE_CPU_CPUDEVICE_H

#include "core/Memory.h"
#include "device/Device.h"
#include "device/cpu/KernelLibrary.h"

namespace mpopt::runtime {

/// One rank on the host's processor. Work runs on the rank's own thread when it is submitted, so streams and events order nothing.
class CpuDevice : public Device {
public:
  /// `arena` is the rank's part of the memory that its peers can read; zero-filled.
  CpuDevice(const KernelLibrary &kernels, std::span<std::byte> arena);

  Result<std::byte *> allocateArena(uint64_t bytes) override;
  Result<std::byte *> allocateWeight(uint64_t bytes) override;
  Result<std::byte *> placeConstant(std::span<const std::byte> host) override;
  Result<LaunchPtr> prepareKernel(uint32_t kernel, const Operands &operands, unsigned stream) override;
  Result<LaunchPtr> prepareCopy(const BufferView &from, const BufferView &to, unsigned stream) override;
  Result<unsigned> createEvent() override { return 0u; }
  Status recordEvent(unsigned, unsigned) override { return {}; }
  Status waitEvent(unsigned, unsigned) override { return {}; }
  Status upload(std::byte *device, const std::byte *host, uint64_t bytes) override;
  Status download(std::byte *host, const std::byte *device, uint64_t bytes) override;
  Status synchronize() override { return {}; }

private:
  const KernelLibrary &kernels;
  std::span<std::byte> arena;
  std::vector<Mapping> weights;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_DEVICE_CPU_CPUDEVICE_H
