#include "launch/Fault.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

constexpr std::array kKinds = {"none", "kill", "exit", "stall", "stop", "segv", "bus", "memory"};

bool parseWhere(const char *where, Fault &fault) {
  char rest;
  unsigned long step;
  if (std::strcmp(where, "load") == 0) {
    fault.step = Progress::kInit;
    fault.instruction = Progress::kLoading;
    return true;
  }
  if (std::sscanf(where, "init:%u%c", &fault.instruction, &rest) == 1) {
    fault.step = Progress::kInit;
    return true;
  }
  bool ok = std::sscanf(where, "%lu:%u%c", &step, &fault.instruction, &rest) == 2;
  fault.step = ok ? step : 0;
  return ok;
}

/// Reads what lies beyond the end of a mapped file.
void readBeyondFile() {
  int fd = memfd_create("mpopt-fault", MFD_CLOEXEC);
  void *page = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  [[maybe_unused]] char byte = *static_cast<volatile char *>(page);
}

} // namespace

Result<Fault> Fault::fromEnvironment() {
  Fault fault;
  const char *value = std::getenv("MPOPT_FAULT");
  if (!value)
    return fault;
  char kind[8] = "";
  int where = 0;
  std::sscanf(value, "%7[a-z]:%u:%n", kind, &fault.rank, &where);
  for (size_t i = 1; i < kKinds.size(); ++i)
    if (where > 0 && std::strcmp(kind, kKinds[i]) == 0 && parseWhere(value + where, fault)) {
      fault.kind = static_cast<Kind>(i);
      return fault;
    }
  return error(
      "MPOPT_FAULT is kill|exit|stall|stop|segv|bus|memory:RANK:load|init:INSTRUCTION|STEP:INSTRUCTION, not '" +
      std::string(value) + "'");
}

void Fault::strike(const Backend &backend, bool inProcess) const {
  switch (kind) {
  case Kind::kill:
    if (inProcess)
      std::raise(SIGKILL);
    break;
  case Kind::exit:
    if (inProcess)
      _exit(0);
    break;
  case Kind::stop:
  case Kind::stall:
    if (inProcess && kind == Kind::stop)
      std::raise(SIGSTOP);
    // A process hangs for good, as a real one would. A thread cannot be removed, so it leaves when the run is given up.
    while (inProcess || !backend.givenUp())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    break;
  case Kind::segv:
    *reinterpret_cast<volatile char *>(uintptr_t(64)) = 1;
    break;
  case Kind::bus:
    readBeyondFile();
    break;
  case Kind::memory:
    throw std::bad_alloc();
  case Kind::none:
    break;
  }
}

} // namespace mpopt::runtime
