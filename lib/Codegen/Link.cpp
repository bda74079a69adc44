#include "LowerKernel.h"
#include "lld/Common/Driver.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/raw_ostream.h"
#include <cerrno>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

LLD_HAS_DRIVER(elf)

using namespace mlir;

namespace {

/// A file in memory, which nobody has to remove, not even after a crash.
class MemoryFile {
public:
  MemoryFile() : descriptor(memfd_create("mpopt-kernels", MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor >= 0)
      close(descriptor);
  }
  bool write(ArrayRef<char> data) {
    if (descriptor < 0)
      return false;
    llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/false);
    stream.write(data.data(), data.size());
    stream.flush();
    bool ok = !stream.has_error();
    stream.clear_error();
    return ok;
  }
  /// A path that leads to it within this process.
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor); }

private:
  int descriptor;
};

/// A pipe whose other end is read to memory meanwhile. lld writes regular files through others beside them, but a pipe in place.
class MemoryPipe {
public:
  bool start() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 18);
    isReading = pipe2(ends, O_CLOEXEC) == 0 && pthread_create(&reader, &attributes, readAll, this) == 0;
    pthread_attr_destroy(&attributes);
    return isReading;
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(ends[1]); }
  llvm::SmallVector<char> finish() {
    close(std::exchange(ends[1], -1));
    pthread_join(reader, nullptr);
    isReading = false;
    return std::move(data);
  }
  ~MemoryPipe() {
    if (isReading)
      finish();
    for (int end : ends)
      if (end >= 0)
        close(end);
  }

private:
  static void *readAll(void *self) {
    auto &pipe = *static_cast<MemoryPipe *>(self);
    char part[4096];
    for (ssize_t count; (count = read(pipe.ends[0], part, sizeof part)) != 0;)
      if (count > 0)
        pipe.data.append(part, part + count);
      else if (errno != EINTR)
        break;
    return nullptr;
  }

  int ends[2] = {-1, -1};
  pthread_t reader{};
  bool isReading = false;
  llvm::SmallVector<char> data;
};

} // namespace

// lld works on files; none of these has a name that could stay behind.
FailureOr<llvm::SmallVector<char>> mpopt::codegen::linkShared(ArrayRef<char> object, Location loc) {
  MemoryFile input;
  MemoryPipe linked;
  if (!input.write(object) || !linked.start())
    return emitError(loc, "cannot link the kernels in memory: ") << llvm::sys::StrError();
  std::string inputPath = input.path(), linkedPath = linked.path(), output;
  llvm::raw_string_ostream messages(output);
  // Undefined symbols are errors: a plan's kernels run without any other library.
  const char *arguments[] = {"ld.lld",      "-shared", "--no-undefined",   "--build-id=none", "--threads=1", "-s", "-z",
                             "noexecstack", "-o",      linkedPath.c_str(), inputPath.c_str()};
  lld::Result result = lld::lldMain(arguments, messages, messages, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return emitError(loc, "linking kernels failed: ") << StringRef(output).trim();
  return linked.finish();
}
