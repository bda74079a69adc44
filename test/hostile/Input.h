#ifndef MPOPT_TEST_HOSTILE_INPUT_H
#define MPOPT_TEST_HOSTILE_INPUT_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace mpopt::hostile {

/// Ends the process, as a crash does: the fuzzer keeps the input.
[[noreturn]] inline void broken(std::string_view what) {
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
inline void expect(bool holds, std::string_view what) {
  if (!holds)
    broken(what);
}

/// Bytes as a file without a name in the file system, for readers that take paths.
class MemoryFile {
public:
  MemoryFile(const uint8_t *data, size_t size) : fd(memfd_create("input", MFD_CLOEXEC)) { append(data, size); }
  MemoryFile(const MemoryFile &) = delete;
  ~MemoryFile() { close(fd); }

  void append(const void *data, size_t size) {
    expect(fd >= 0 && write(fd, data, size) == static_cast<ssize_t>(size), "a file in memory can be written");
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd); }

private:
  int fd;
};

} // namespace mpopt::hostile

#endif // MPOPT_TEST_HOSTILE_INPUT_H
