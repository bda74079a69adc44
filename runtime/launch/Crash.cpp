#include "launch/Crash.h"

#include <cstring>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

thread_local RankSlot *currentSlot = nullptr;
thread_local int currentFinished = -1;

std::array<struct sigaction, CrashHandlers::kSignals.size()> before;

void restore() {
  for (size_t i = 0; i < before.size(); ++i)
    sigaction(CrashHandlers::kSignals[i], &before[i], nullptr);
}

void handleCrash(int signal) {
  if (!currentSlot) { // not a rank: what failed is tried again under the handlers that were there before
    restore();
    return;
  }
  currentSlot->crashed.store(signal);
  currentSlot->left.store(true, std::memory_order_release);
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = write(currentFinished, &one, sizeof one);
  for (;;)
    pause();
}

} // namespace

CrashHandlers::CrashHandlers() {
  for (size_t i = 0; i < before.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before[i]);
    std::signal(kSignals[i], handleCrash);
  }
}

CrashHandlers::~CrashHandlers() { restore(); }

void CrashHandlers::setDefaults() {
  for (int signal : kSignals)
    std::signal(signal, SIG_DFL);
}

CrashGuard::CrashGuard(RankSlot &slot, int finished) {
  currentSlot = &slot;
  currentFinished = finished;
}
CrashGuard::~CrashGuard() { currentSlot = nullptr; }

std::string describeSignal(int signal) {
  const char *name = sigabbrev_np(signal);
  std::string text = name ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
  if (signal == SIGKILL)
    return text + ", as when memory runs out";
  if (signal == SIGBUS)
    return text + ", as when a mapped file is cut short";
  return text;
}

} // namespace mpopt::runtime
