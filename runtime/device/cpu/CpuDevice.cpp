#include "device/cpu/CpuDevice.h"

#include <cstring>

namespace mpopt::runtime {
namespace {

class KernelLaunch : public Launch {
public:
  KernelLaunch(KernelLibrary::Kernel kernel, const Operands &operands) : kernel(kernel) {
    for (const auto *list : {&operands.reads, &operands.writes})
      for (const BufferView &view : *list)
        args.push_back(view.data);
  }
  Status submit() override {
    kernel(args.data());
    return {};
  }

private:
  KernelLibrary::Kernel kernel;
  std::vector<void *> args;
};

class CopyLaunch : public Launch {
public:
  CopyLaunch(const BufferView &from, const BufferView &to) : from(from.data), to(to.data), bytes(to.bytes) {}
  Status submit() override {
    std::memmove(to, from, bytes);
    return {};
  }

private:
  const std::byte *from;
  std::byte *to;
  uint64_t bytes;
};

} // namespace

CpuDevice::CpuDevice(const KernelLibrary &kernels, std::span<std::byte> arena) : kernels(kernels), arena(arena) {}

Result<std::byte *> CpuDevice::allocateArena(uint64_t bytes) {
  if (bytes > arena.size())
    return error("the arena is smaller than the program's work area");
  return arena.data();
}

Result<std::byte *> CpuDevice::allocateWeight(uint64_t bytes) {
  auto memory = Mapping::priv(bytes);
  if (!memory)
    return tl::unexpected(memory.error());
  weights.push_back(std::move(*memory));
  return weights.back().data();
}

Result<std::byte *> CpuDevice::placeConstant(std::span<const std::byte> host) {
  return const_cast<std::byte *>(host.data()); // mapped read-only; the verifier lets no instruction write there
}

Result<LaunchPtr> CpuDevice::prepareKernel(uint32_t kernel, const Operands &operands, unsigned) {
  return std::make_unique<KernelLaunch>(kernels[kernel], operands);
}

Result<LaunchPtr> CpuDevice::prepareCopy(const BufferView &from, const BufferView &to, unsigned) {
  return std::make_unique<CopyLaunch>(from, to);
}

Status CpuDevice::upload(std::byte *device, const std::byte *host, uint64_t bytes) {
  std::memcpy(device, host, bytes);
  return {};
}

Status CpuDevice::download(std::byte *host, const std::byte *device, uint64_t bytes) {
  std::memcpy(host, device, bytes);
  return {};
}

} // namespace mpopt::runtime
