#include "launch/Crash.h"
#include "launch/RankBody.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

constexpr int kLookMilliseconds = 10;
/// How long processes may take to stop by themselves once one has failed.
constexpr double kProcessGraceSeconds = 0.03;

double secondsSince(int64_t then) { return static_cast<double>(now() - then) * 1e-9; }

class Watcher {
public:
  Watcher(const Job &job, std::span<const int> pids)
      : job(job), pids(pids), ended(job.plan->numRanks()), lastProgress(now()) {
    polled.push_back({job.finished, POLLIN, 0});
    for (int pid : pids)
      polled.push_back({static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0}); // -1 is ignored by poll
  }
  ~Watcher() {
    for (size_t i = 1; i < polled.size(); ++i)
      if (polled[i].fd >= 0)
        close(polled[i].fd);
  }

  Status run() {
    while (numEnded < ended.size()) {
      poll(polled.data(), polled.size(), untilNextLook());
      uint64_t count;
      [[maybe_unused]] ssize_t bytes = (polled[0].revents & POLLIN) ? read(job.finished, &count, sizeof count) : 0;
      for (unsigned rank = 0; rank < ended.size(); ++rank)
        if (!ended[rank])
          look(rank);
      if (failure.empty())
        lookForStall();
      else if (secondsSince(failedAt) > graceSeconds())
        stopTheRest();
    }
    if (crashed)
      stopTheRest();
    if (failure.empty())
      return {};
    return error(failure);
  }

private:
  double graceSeconds() const { return pids.empty() ? job.options.threadGraceSeconds : kProcessGraceSeconds; }

  /// Milliseconds: until the deadline or the end of the grace, at most the usual time between looks.
  int untilNextLook() const {
    double left = failure.empty() ? job.options.timeoutSeconds - secondsSince(lastProgress)
                                  : graceSeconds() - secondsSince(failedAt);
    return 1 + static_cast<int>(std::clamp(left * 1e3, 0.0, kLookMilliseconds - 1.0));
  }

  void look(unsigned rank) {
    const RankSlot &slot = job.slots[rank];
    std::string how = "left without a word";
    if (pids.empty()) {
      if (!slot.left.load(std::memory_order_acquire))
        return;
      how = "died";
      if (int signal = slot.crashed.load()) {
        how += " (" + describeSignal(signal) + ")";
        crashed = true;
      }
    } else {
      int status = 0;
      pid_t pid = waitpid(pids[rank], &status, WNOHANG);
      if (pid == 0 || (pid < 0 && errno == EINTR))
        return;
      if (pid > 0 && WIFSIGNALED(status))
        how = "died (" + describeSignal(WTERMSIG(status)) + ")";
      else if (pid > 0)
        how = "died (exit code " + std::to_string(WEXITSTATUS(status)) + ")";
      polled[rank + 1].fd = (close(polled[rank + 1].fd), -1);
    }
    ended[rank] = true;
    ++numEnded;
    RankState state = slot.state.load(std::memory_order_acquire);
    if (state == RankState::running)
      fail("rank " + std::to_string(rank) + " " + how + " " + place(rank));
    else if (state == RankState::failed)
      fail("rank " + std::to_string(rank) + " failed " + place(rank) + ": " + slot.message);
  }

  /// "at step 17 in all_reduce#5 (node /layer.3/...)"
  std::string place(unsigned rank) const {
    const Progress &progress = job.slots[rank].progress;
    uint32_t instruction = progress.instruction.load();
    if (instruction == Progress::kLoading)
      return "while it was loading";
    if (progress.step.load() == Progress::kInit)
      return "while it was loading, in init " +
             describe(job.plan->plan(), job.plan->programOf(rank), instruction, true);
    std::string step = "at step " + std::to_string(progress.step.load());
    return instruction == Progress::kBetweenSteps
               ? step + " between instructions"
               : step + " in " + describe(job.plan->plan(), job.plan->programOf(rank), instruction);
  }

  void fail(const std::string &what) {
    if (!failure.empty())
      return;
    failure = what;
    failedAt = now();
    job.backend->giveUp();
  }

  void lookForStall() {
    uint64_t sum = 0;
    for (unsigned rank = 0; rank < ended.size(); ++rank)
      sum += job.slots[rank].progress.beat.load(std::memory_order_relaxed);
    if (sum != beats) {
      beats = sum;
      lastProgress = now();
    }
    if (numEnded == ended.size() || secondsSince(lastProgress) < job.options.timeoutSeconds)
      return;
    unsigned rank = mostBehind();
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%g", job.options.timeoutSeconds);
    fail("rank " + std::to_string(rank) + " stalled " + place(rank) + ": no rank got on for " + seconds +
         " s (--timeout)");
  }

  /// The rank that the others wait for: one that waits for nobody, and has come least far.
  unsigned mostBehind() const {
    auto key = [&](unsigned rank) {
      const Progress &progress = job.slots[rank].progress;
      uint64_t step = progress.step.load();
      uint32_t instruction = progress.instruction.load();
      bool loaded = step != Progress::kInit && instruction != Progress::kLoading;
      uint32_t order = instruction == Progress::kBetweenSteps ? 0 : instruction + 1;
      return std::tuple(ended[rank], progress.waiting.load(), loaded, step, order);
    };
    unsigned worst = 0;
    for (unsigned rank = 1; rank < ended.size(); ++rank)
      if (key(rank) < key(worst))
        worst = rank;
    return worst;
  }

  void stopTheRest() {
    if (pids.empty()) {
      std::fprintf(stderr, "mpopt-run: error: %s\n", failure.c_str());
      std::_Exit(1);
    }
    for (unsigned rank = 0; rank < ended.size(); ++rank)
      if (!ended[rank])
        kill(pids[rank], SIGKILL); // ends stopped processes, too
  }

  const Job &job;
  std::span<const int> pids;
  std::vector<pollfd> polled;
  std::vector<bool> ended;
  size_t numEnded = 0;
  bool crashed = false; // a thread that will never end
  uint64_t beats = 0;
  int64_t lastProgress, failedAt = 0;
  std::string failure;
};

} // namespace

Status watchRanks(const Job &job, std::span<const int> pids) { return Watcher(job, pids).run(); }

} // namespace mpopt::runtime
