#include "FatalErrors.h"
#include "OutputFile.h"

#include <csignal>
#include <cstring>
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

} // namespace

void reportFatalErrors(const char *tool) {
  toolName = tool;
  std::signal(SIGBUS, handleBus);
  std::signal(SIGXFSZ, SIG_IGN); // writing too much is an error like any other
}

void failOutOfMemory() { fail("out of memory; free some, raise the limit (ulimit -v), or use a smaller batch"); }

} // namespace mpopt::runtime
