#include "launch/Fault.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace mpopt::runtime {

Result<Fault> Fault::fromEnvironment() {
  Fault fault;
  const char *value = std::getenv("MPOPT_FAULT");
  if (!value)
    return fault;
  char kind[8] = "", rest;
  unsigned long step;
  if (std::sscanf(value, "%7[a-z]:%u:%lu:%u%c", kind, &fault.rank, &step, &fault.instruction, &rest) != 4 ||
      (std::string_view(kind) != "kill" && std::string_view(kind) != "stall"))
    return error("MPOPT_FAULT is kill|stall:RANK:STEP:INSTRUCTION, not '" + std::string(value) + "'");
  fault.kind = kind[0] == 'k' ? Kind::kill : Kind::stall;
  fault.step = step;
  return fault;
}

void Fault::strike(const Backend &backend, bool inProcess) const {
  if (kind == Kind::kill && inProcess)
    std::raise(SIGKILL);
  // A process hangs for good, as a real one would. A thread cannot be removed, so it leaves when the run is given up.
  while (kind == Kind::stall && (inProcess || !backend.givenUp()))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

} // namespace mpopt::runtime
