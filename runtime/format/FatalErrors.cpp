#include "FatalErrors.h"
#include "OutputFile.h"

#include <csignal>
#include <cstddef>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

const char *toolName = "mpopt";

[[noreturn]] void fail(const char *what) {
  for (const char *part : {toolName, ": error: ", what, "\n"}) [[maybe_unused]]
    ssize_t written = write(STDERR_FILENO, part, std::strlen(part));
  OutputFile::removeTemporaries();
  _exit(1);
}

void handleBus(int) {
  fail("a file was cut short while it was being read; leave models, plans and weights alone meanwhile");
}

constexpr size_t kLeast = 1 << 20; // what malloc asks the system for at least
struct sigaction crash;            // what a bad access does otherwise

/// Whether malloc can get no more: then a bad access comes from a library that does not look at what malloc returns, or from a stack that cannot
/// grow.
bool isMemoryUsedUp() {
  void *probe = mmap(nullptr, kLeast, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return probe == MAP_FAILED || munmap(probe, kLeast) != 0;
}

void handleBadAccess(int) {
  if (isMemoryUsedUp())
    failOutOfMemory();
  sigaction(SIGSEGV, &crash, nullptr); // the access is tried again, and crashes
}

} // namespace

void reportFatalErrors(const char *tool) {
  toolName = tool;
  std::signal(SIGBUS, handleBus);
  std::signal(SIGXFSZ, SIG_IGN); // writing too much is an error like any other
}

void reportBadAccessWithoutMemory() {
  static std::byte stack[64 << 10];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action{};
  action.sa_handler = handleBadAccess;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &action, &crash);
}

void failOutOfMemory() { fail("out of memory; free some, raise the limit (ulimit -v), or use a smaller batch"); }

} // namespace mpopt::runtime
