#include "comm/local/LocalCommunicator.h"
#include "device/cpu/CpuDevice.h"
#include "launch/Backend.h"

namespace mpopt::runtime {
namespace {

/// Ranks on this host's processors, which share memory.
class CpuBackend : public Backend {
public:
  CpuBackend(KernelLibrary kernels, LocalFabric fabric) : kernels(std::move(kernels)), fabric(std::move(fabric)) {}

  Result<std::unique_ptr<Device>> createDevice(unsigned rank) override {
    return std::make_unique<CpuDevice>(kernels, fabric.arena(rank));
  }
  Result<std::unique_ptr<Communicator>> createCommunicator(unsigned rank, Progress &progress) override {
    return std::make_unique<LocalCommunicator>(fabric, rank, progress);
  }
  void giveUp() override { fabric.abort().store(1); }
  bool givenUp() const override { return fabric.abort().load() != 0; }

private:
  KernelLibrary kernels;
  LocalFabric fabric;
};

} // namespace

Result<std::unique_ptr<Backend>> createBackend(const LoadedPlan &plan) {
  auto kernels = KernelLibrary::load(plan.plan());
  if (!kernels)
    return tl::unexpected(kernels.error());
  auto fabric = LocalFabric::create(plan);
  if (!fabric)
    return tl::unexpected(fabric.error());
  return std::make_unique<CpuBackend>(std::move(*kernels), std::move(*fabric));
}

} // namespace mpopt::runtime
