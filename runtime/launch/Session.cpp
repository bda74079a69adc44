#include "launch/Session.h"
#include "launch/Cores.h"
#include "launch/Crash.h"
#include "launch/RankBody.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

constexpr uint32_t kTracedSteps = 8;
uint64_t roundUp(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

} // namespace

struct Session::State {
  ~State() {
    if (job.finished >= 0)
      close(job.finished);
  }
  Status create(const LoadedPlan &plan, const RunOptions &options);
  Status runThreads();
  Status runProcesses();

  std::unique_ptr<Backend> backend;
  Mapping shared;
  Job job;
};

/// Lays out what launcher and ranks share: slots, times, trace, the ports' images.
Status Session::State::create(const LoadedPlan &plan, const RunOptions &options) {
  auto fault = Fault::fromEnvironment();
  if (!fault)
    return tl::unexpected(fault.error());
  auto made = createBackend(plan);
  if (!made)
    return tl::unexpected(made.error());
  backend = std::move(*made);
  job.plan = &plan;
  job.options = options;
  job.fault = *fault;
  job.backend = backend.get();
  if (options.bindsRanks)
    job.cores = coresFor(plan.numRanks());
  job.ports = PortLayout::of(plan.plan());

  size_t ranks = plan.numRanks();
  uint32_t traced = options.trace ? std::min<uint64_t>(options.steps, kTracedSteps) : 0;
  auto timeBytes = checkedMultiply(options.steps, ranks * sizeof(TimeSpan));
  if (!timeBytes || *timeBytes > uint64_t(1) << 36)
    return error("too many steps");
  uint64_t timesAt = roundUp(ranks * sizeof(RankSlot)), tracesAt = roundUp(timesAt + *timeBytes), end = tracesAt;
  auto numInstructions = [&](size_t rank) {
    return static_cast<uint32_t>(items(plan.programOf(rank).instructions()).size());
  };
  for (size_t rank = 0; rank < ranks; ++rank)
    end += roundUp(TraceBuffer::bytes(traced, numInstructions(rank)));
  auto memory = Mapping::shared(end + job.ports.bytes);
  if (!memory)
    return tl::unexpected(memory.error());
  shared = std::move(*memory);
  job.slots = new (shared.data()) RankSlot[ranks]();
  job.times = reinterpret_cast<TimeSpan *>(shared.data() + timesAt);
  job.host = shared.data() + end;
  for (size_t rank = 0; traced > 0 && rank < ranks; ++rank) {
    uint32_t count = numInstructions(rank);
    job.traces.push_back({reinterpret_cast<TraceEvent *>(shared.data() + tracesAt), traced, count});
    tracesAt += roundUp(TraceBuffer::bytes(traced, count));
  }
  job.finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (job.finished < 0)
    return error(std::string("cannot start ranks: ") + std::strerror(errno));
  return {};
}

Status Session::State::runThreads() {
  CrashHandlers handlers;
  std::vector<std::thread> threads;
  Status status;
  try {
    for (unsigned rank = 0; rank < job.plan->numRanks(); ++rank)
      threads.emplace_back(runRank, std::cref(job), rank);
    status = watchRanks(job, {});
  } catch (const std::system_error &failure) {
    backend->giveUp();
    status = error(std::string("cannot start ranks: ") + failure.what());
  }
  for (std::thread &thread : threads)
    thread.join();
  return status;
}

Status Session::State::runProcesses() {
  std::vector<int> pids;
  pid_t parent = getpid();
  for (unsigned rank = 0; rank < job.plan->numRanks(); ++rank) {
    pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL); // nobody is left when the launcher is killed
      if (getppid() != parent)
        _exit(1);
      CrashHandlers::setDefaults();
      runRank(job, rank);
      _exit(0);
    }
    if (pid < 0) {
      int code = errno;
      backend->giveUp();
      for (unsigned missing = rank; missing < job.plan->numRanks(); ++missing)
        job.slots[missing].state.store(RankState::stopped);
      for (int started : pids)
        kill(started, SIGKILL);
      [[maybe_unused]] Status stopped = watchRanks(job, pids);
      return error(std::string("cannot start ranks: ") + std::strerror(code));
    }
    pids.push_back(pid);
  }
  return watchRanks(job, pids);
}

Session::Session(std::unique_ptr<State> state) : state(std::move(state)) {}
Session::Session(Session &&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(const LoadedPlan &plan, const RunOptions &options) {
  auto state = std::make_unique<State>();
  if (Status status = state->create(plan, options); !status)
    return tl::unexpected(status.error());
  return Session(std::move(state));
}

Status Session::setInput(size_t port, const Tensor &tensor) {
  const plan::Plan &plan = state->job.plan->plan();
  const plan::Port &input = *items(plan.inputs())[port];
  if (tensor.dtype != input.dtype() || !std::ranges::equal(tensor.shape, numbers(input.shape())))
    return error("input '" + input.name()->str() + "' is " + nameOf(tensor.dtype) + " " + toText(tensor.shape) +
                 ", the plan takes " + nameOf(input.dtype()) + " " + toText(numbers(input.shape())) +
                 (tensor.dtype != input.dtype()
                      ? std::string("; convert it with numpy's astype(\"") + nameOf(input.dtype()) + "\")"
                      : "; plan the model for other sizes with mpopt --dim"));
  scatterInput(plan, input, tensor, state->job.ports.inputs[port], state->job.host);
  return {};
}

Tensor Session::output(size_t port) const {
  const plan::Plan &plan = state->job.plan->plan();
  return gatherOutput(plan, *items(plan.outputs())[port], state->job.ports.outputs[port], state->job.host);
}

Status Session::run() { return state->job.options.processes ? state->runProcesses() : state->runThreads(); }

std::vector<double> Session::stepSeconds() const {
  const Job &job = state->job;
  size_t ranks = job.plan->numRanks();
  std::vector<double> seconds;
  int64_t before = 0;
  for (uint64_t step = 0; step < job.options.steps; ++step) {
    std::span<const TimeSpan> times(job.times + step * ranks, ranks);
    int64_t begin = std::ranges::min(times, {}, &TimeSpan::begin).begin;
    int64_t end = std::ranges::max(times, {}, &TimeSpan::end).end;
    if (job.plan->plan().streams() && step > 0)
      begin = before;
    seconds.push_back(static_cast<double>(end - begin) * 1e-9);
    before = end;
  }
  return seconds;
}

double Session::loadSeconds(size_t rank) const {
  return static_cast<double>(state->job.slots[rank].loadNanoseconds) * 1e-9;
}

Status Session::writeTrace(const std::string &path) const {
  const Job &job = state->job;
  return runtime::writeTrace(path, job.plan->plan(),
                             {job.traces, {job.times, job.options.steps * job.plan->numRanks()}});
}

} // namespace mpopt::runtime
