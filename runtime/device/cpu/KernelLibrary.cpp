#include "device/cpu/KernelLibrary.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace mpopt::runtime {
namespace {

Status checkProcessor(const std::string &cpu) {
  __builtin_cpu_init();
  bool hasV3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2");
  bool hasV4 = hasV3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
  if (cpu != "x86-64-v3" && cpu != "x86-64-v4")
    return error("the plan's kernels are for '" + cpu + "', which this program does not know");
  if (!(cpu == "x86-64-v3" ? hasV3 : hasV4))
    return error("the plan's kernels are for " + cpu +
                 ", which this processor is not; plan the model for this machine");
  return {};
}

bool writeAll(int fd, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    bytes = bytes.subspan(count);
  }
  return true;
}

/// Opens the library through an anonymous file, so that nothing has to be written to disk.
Result<void *> openElf(std::span<const uint8_t> elf) {
  int fd = memfd_create("mpopt-kernels", MFD_CLOEXEC);
  if (fd < 0 || !writeAll(fd, elf)) {
    int code = errno;
    if (fd >= 0)
      close(fd);
    return error(std::string("cannot load the plan's kernels: ") + std::strerror(code));
  }
  void *handle = dlopen(("/proc/self/fd/" + std::to_string(fd)).c_str(), RTLD_NOW | RTLD_LOCAL);
  std::string why = handle ? "" : dlerror();
  close(fd);
  if (!handle)
    return error("cannot load the plan's kernels: " + why);
  return handle;
}

} // namespace

Result<KernelLibrary> KernelLibrary::load(const plan::Plan &plan) {
  KernelLibrary library;
  if (items(plan.kernels()).size() == 0)
    return library;
  if (Status status = checkProcessor(std::string(text(plan.cpu()))); !status)
    return tl::unexpected(status.error());
  auto handle = openElf(numbers(plan.elf()));
  if (!handle)
    return tl::unexpected(handle.error());
  library.handle = *handle;
  for (const flatbuffers::String *symbol : items(plan.kernels())) {
    void *address = dlsym(library.handle, symbol->c_str());
    if (!address)
      return error("the plan's code has no kernel '" + symbol->str() + "'");
    library.kernels.push_back(reinterpret_cast<Kernel>(address));
  }
  return library;
}

KernelLibrary::KernelLibrary(KernelLibrary &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), kernels(std::move(other.kernels)) {}

KernelLibrary::~KernelLibrary() {
  if (handle)
    dlclose(handle);
}

} // namespace mpopt::runtime
