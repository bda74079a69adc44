#include "launch/RankBody.h"
#include "core/Executor.h"
#include "launch/Cores.h"
#include "launch/Crash.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

/// How a rank leaves when a fault makes it vanish.
constexpr char kVanished[] = "vanished";

Status loadAndRun(const Job &job, unsigned rank) {
  RankSlot &slot = job.slots[rank];
  int64_t start = now();
  auto device = job.backend->createDevice(rank);
  if (!device)
    return tl::unexpected(device.error());
  auto communicator = job.backend->createCommunicator(rank, slot.progress);
  if (!communicator)
    return tl::unexpected(communicator.error());
  RankContext context{*job.plan, rank, **device, **communicator, slot.progress, job.ports, job.host, {}, {}};
  if (!job.traces.empty())
    context.trace = job.traces[rank];
  slot.progress.logsWaits = !job.traces.empty();
  if (job.fault.kind != Fault::Kind::none)
    context.beforeInstruction = [&job, rank](uint64_t step, uint32_t instruction) -> Status {
      if (!job.fault.hits(rank, step, instruction))
        return {};
      job.fault.strike(*job.backend, job.options.processes);
      return error(kVanished);
    };
  if (context.beforeInstruction)
    if (Status status = context.beforeInstruction(Progress::kInit, Progress::kLoading); !status)
      return status;
  auto executor = Executor::create(std::move(context));
  if (!executor)
    return tl::unexpected(executor.error());
  slot.loadNanoseconds = now() - start;
  slot.progress.at(0, Progress::kBetweenSteps);
  for (uint64_t step = 0; step < job.options.steps; ++step) {
    if (step == 0 || !job.plan->plan().streams())
      if (Status status = (*communicator)->barrier(); !status)
        return status;
    TimeSpan &time = job.times[step * job.plan->numRanks() + rank];
    time.begin = now();
    if (Status status = executor->run(step); !status)
      return status;
    time.end = now();
  }
  return {};
}

/// Running out of memory is a failure of the rank like any other.
Status loadAndRunCaught(const Job &job, unsigned rank) {
  try {
    return loadAndRun(job, rank);
  } catch (const std::bad_alloc &) {
    return error("out of memory");
  }
}

} // namespace

void runRank(const Job &job, unsigned rank) {
  RankSlot &slot = job.slots[rank];
  CrashGuard guard(slot, job.finished);
  if (!job.cores.empty())
    stayOn(job.cores[rank]);
  Status status = loadAndRunCaught(job, rank);
  RankState state = RankState::done;
  if (!status) {
    const std::string &message = status.error().message;
    state = message == kVanished ? RankState::running : message == kGivenUp ? RankState::stopped : RankState::failed;
    std::memcpy(slot.message, message.data(), std::min(message.size(), RankSlot::kMessageBytes - 1));
  }
  slot.state.store(state, std::memory_order_release);
  slot.left.store(true, std::memory_order_release);
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = write(job.finished, &one, sizeof one);
}

} // namespace mpopt::runtime
