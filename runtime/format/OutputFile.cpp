#include "OutputFile.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace mpopt::runtime {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

/// Names of temporary files, to be removed when a signal ends the process. A handler may read it at any time.
class Leftovers {
public:
  void add(const std::string &name) {
    handleSignals();
    for (auto &slot : names) {
      char *none = nullptr, *copy = strdup(name.c_str());
      if (slot.compare_exchange_strong(none, copy))
        return;
      std::free(copy);
    }
  }
  void remove(const std::string &name) {
    for (auto &slot : names)
      if (char *kept = slot.load(); kept && name == kept && slot.compare_exchange_strong(kept, nullptr))
        std::free(kept);
  }

  static void unlinkAll() {
    for (auto &slot : names)
      if (const char *name = slot.load())
        unlink(name);
  }

private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU};

  static void handle(int signal) {
    unlinkAll();
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  static void handleSignals() {
    for (int signal : kSignals) {
      struct sigaction now{};
      if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
        std::signal(signal, handle);
    }
  }
  static std::array<std::atomic<char *>, 16> names;
};
std::array<std::atomic<char *>, 16> Leftovers::names;

/// Keeps signals away from this thread for as long as it lives.
class SignalBlock {
public:
  SignalBlock() {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
  }
  ~SignalBlock() { sigprocmask(SIG_SETMASK, &before, nullptr); }

private:
  sigset_t before;
};

std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// Where a link leads, the path itself when it is none or leads nowhere.
std::string followed(const std::string &path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode))
    return path;
  char *real = realpath(path.c_str(), nullptr);
  std::string result = real ? real : path;
  std::free(real);
  return result;
}

const char *reason(int code) {
  switch (code) {
  case ENOENT:
    return "its folder does not exist";
  case EISDIR:
    return "it is a folder";
  case ENOMEM:
    return "there is too little memory to map it; free some, or raise the limit (ulimit -v)";
  case EFBIG:
    return "it would be larger than the allowed file size";
  default:
    return std::strerror(code);
  }
}

} // namespace

Result<OutputFile> OutputFile::create(const std::string &path, Naming naming) {
  std::signal(SIGXFSZ, SIG_IGN); // writing too much is an error like any other
  OutputFile file;
  file.path = path;
  if (Status status = file.open(naming); !status)
    return tl::unexpected(status.error());
  return file;
}

Status OutputFile::open(Naming naming) {
  std::string target = followed(path);
  struct stat info;
  bool exists = stat(target.c_str(), &info) == 0;
  if (path.empty() || path.back() == '/' || (exists && S_ISDIR(info.st_mode)))
    return fail(path.empty() ? ENOENT : EISDIR);
  if (exists && !S_ISREG(info.st_mode)) {
    direct = true;
    fd = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
    return fd < 0 ? fail(errno) : Status();
  }
  if (exists && access(target.c_str(), W_OK) != 0)
    return fail(errno);
  std::string shown = std::exchange(path, target);
  if (naming == Naming::noneIfPossible)
    fd = ::open(folderOf(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  Status status = fd < 0 ? openTemporary() : Status();
  if (!status)
    path = shown;
  return status;
}

Status OutputFile::openTemporary() {
  SignalBlock block; // between creating the file and noting its name
  static std::atomic<unsigned> count;
  for (int tries = 0; tries < 100; ++tries) {
    std::string name = path + "." + std::to_string(getpid()) + "-" + std::to_string(count++) + ".tmp";
    fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      temporary = name;
      Leftovers().add(name);
      return {};
    }
    if (errno != EEXIST)
      break;
  }
  return fail(errno);
}

OutputFile::OutputFile(OutputFile &&other) noexcept { *this = std::move(other); }

OutputFile &OutputFile::operator=(OutputFile &&other) noexcept {
  std::swap(path, other.path);
  std::swap(temporary, other.temporary);
  std::swap(fd, other.fd);
  std::swap(failure, other.failure);
  std::swap(direct, other.direct);
  std::swap(mapped, other.mapped);
  std::swap(mappedBytes, other.mappedBytes);
  std::swap(buffer, other.buffer);
  return *this;
}

OutputFile::~OutputFile() {
  if (mapped)
    munmap(mapped, mappedBytes);
  if (fd >= 0)
    close(fd);
  if (temporary.empty())
    return;
  unlink(temporary.c_str());
  Leftovers().remove(temporary);
}

Status OutputFile::fail(int code) const {
  return error("cannot write '" + path + "': " + reason(code) + "; choose another place");
}

void OutputFile::write(std::string_view bytes) {
  buffer += bytes;
  if (buffer.size() >= kBufferBytes) [[maybe_unused]]
    Status kept = flush();
}

Result<char *> OutputFile::map(uint64_t bytes) {
  if (direct)
    return error("cannot write '" + path + "': it is no regular file; choose another place");
  if (bytes == 0)
    return static_cast<char *>(nullptr);
  int code = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (code == 0) {
    void *pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    code = pages == MAP_FAILED ? errno : 0;
    mapped = code == 0 ? pages : nullptr;
    mappedBytes = bytes;
  }
  if (code != 0)
    return tl::unexpected(fail(code).error());
  return static_cast<char *>(mapped);
}

Status OutputFile::flush() {
  for (std::string_view rest = buffer; failure == 0 && !rest.empty();) {
    ssize_t count = ::write(fd, rest.data(), rest.size());
    if (count > 0)
      rest.remove_prefix(static_cast<size_t>(count));
    else if (count == 0 || errno != EINTR)
      failure = count == 0 ? ENOSPC : errno;
  }
  buffer.clear();
  return failure == 0 ? Status() : fail(failure);
}

Status OutputFile::finish() {
  if (Status status = flush(); !status || direct)
    return status;
  return fsync(fd) == 0 ? Status() : fail(errno);
}

Status OutputFile::commit() {
  if (Status status = finish(); !status || direct)
    return status;
  SignalBlock block; // between linking and renaming
  if (temporary.empty()) {
    std::string name = path + "." + std::to_string(getpid()) + ".tmp", source = "/proc/self/fd/" + std::to_string(fd);
    unlink(name.c_str()); // of a process that had this number before
    if (linkat(AT_FDCWD, source.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return fail(errno);
    temporary = name;
  }
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return fail(errno);
  Leftovers().remove(temporary);
  temporary.clear();
  return {};
}

void OutputFile::removeTemporaries() { Leftovers::unlinkAll(); }

bool sameFile(const std::string &one, const std::string &other) {
  struct stat first, second;
  return stat(one.c_str(), &first) == 0 && stat(other.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

Status writeFile(const std::string &path, std::string_view contents) {
  auto file = OutputFile::create(path);
  if (!file)
    return tl::unexpected(file.error());
  file->write(contents);
  return file->commit();
}

} // namespace mpopt::runtime
