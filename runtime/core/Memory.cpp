#include "core/Memory.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace mpopt::runtime {

alignas(64) std::byte Mapping::nowhere[64];

Mapping::Mapping(Mapping &&other) noexcept { *this = std::move(other); }

Mapping &Mapping::operator=(Mapping &&other) noexcept {
  std::swap(start, other.start);
  std::swap(bytes, other.bytes);
  return *this;
}

Mapping::~Mapping() {
  if (start)
    munmap(start, bytes);
}

Result<Mapping> Mapping::ofFile(const std::string &path, const std::string &what) {
  Mapping mapping;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  int code = fd < 0 || fstat(fd, &info) != 0 ? errno : S_ISREG(info.st_mode) ? 0 : EINVAL;
  if (code == 0 && info.st_size > 0) {
    void *pages = mmap(nullptr, info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED) {
      code = errno;
    } else {
      mapping.start = static_cast<std::byte *>(pages);
      mapping.bytes = info.st_size;
    }
  }
  if (fd >= 0)
    close(fd);
  if (code != 0)
    return error("cannot read " + what + " '" + path + "': " + std::strerror(code));
  return mapping;
}

Result<Mapping> Mapping::anonymous(uint64_t bytes, int flags) {
  Mapping mapping;
  if (bytes == 0)
    return mapping;
  void *pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED)
    return error("cannot get " + std::to_string(bytes >> 20) + " MiB of memory: " + std::strerror(errno));
  mapping.start = static_cast<std::byte *>(pages);
  mapping.bytes = bytes;
  return mapping;
}

Result<Mapping> Mapping::shared(uint64_t bytes) { return anonymous(bytes, MAP_SHARED); }
Result<Mapping> Mapping::priv(uint64_t bytes) { return anonymous(bytes, MAP_PRIVATE); }

} // namespace mpopt::runtime
