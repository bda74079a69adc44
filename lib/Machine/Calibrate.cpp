#include "mpopt/Machine/Calibrate.h"
#include "MatmulProbe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <sched.h>
#include <thread>
#include <unistd.h>

namespace mpopt::machine {

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Least time of one call of `body` over at least `seconds` and at least three
/// calls: other work on the host only ever adds time.
double leastSeconds(double seconds, const std::function<void()> &body) {
  double least = 1e30;
  Clock::time_point begin = Clock::now();
  for (int calls = 0; calls < 3 || secondsSince(begin) < seconds; ++calls) {
    Clock::time_point start = Clock::now();
    body();
    least = std::min(least, secondsSince(start));
  }
  return std::max(least, 1e-9);
}

/// Makes the compiler believe that what `data` points to is used.
void keep(const void *data) { asm volatile("" : : "g"(data) : "memory"); }

/// Cores this process may use (a container may grant fewer than the host has).
int64_t usableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return CPU_COUNT(&set);
  return std::max(1u, std::thread::hardware_concurrency());
}

int64_t hostMemory() { return int64_t(sysconf(_SC_PHYS_PAGES)) * int64_t(sysconf(_SC_PAGESIZE)); }

int64_t cacheBytes() {
  long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? int64_t(bytes) : 1 << 20;
}

/// a += s * b reads two streams and writes one back.
void axpy(std::vector<float> &a, const std::vector<float> &b) {
  for (size_t i = 0; i < a.size(); ++i)
    a[i] += 0.5f * b[i];
}

/// Something to time: what it does, and how often.
struct Probe {
  std::function<void()> run;
  int64_t calls = 1;
  double least = 1e30; ///< Seconds of one call.

  void measure() {
    Clock::time_point start = Clock::now();
    for (int64_t i = 0; i < calls; ++i)
      run();
    least = std::min(least, std::max(secondsSince(start) / double(calls), 1e-9));
  }
};

/// Goes through the probes in turn for at least `seconds`, so that a host that is slower for a while is so to all of them: what is made of them is
/// shares of each other. Each is repeated over milliseconds; for a fraction of one a core is faster than it can stay.
void measureInTurn(double seconds, std::vector<Probe *> probes) {
  constexpr double kSustained = 0.002; // longer, and on a busy host no stretch is undisturbed
  for (Probe *probe : probes) {
    probe->measure();
    probe->measure();
    probe->calls = std::max<int64_t>(1, std::llround(kSustained / probe->least));
    probe->least = 1e30;
  }
  Clock::time_point begin = Clock::now();
  for (int rounds = 0; rounds < 3 || secondsSince(begin) < seconds; ++rounds)
    for (Probe *probe : probes)
      probe->measure();
}

/// A stream over two buffers; B/s is what is to be told.
class Stream {
public:
  explicit Stream(int64_t bytes) : a(size_t(bytes) / 8, 1.0f), b(size_t(bytes) / 8, 1.0f) {}
  Stream(const Stream &) = delete; // the probe knows where it is
  Stream &operator=(const Stream &) = delete;
  Probe probe{[this] { axpy(a, b); }};
  double bandwidth() const { return rounded(3.0 * 4 * double(a.size()) / probe.least); }
  int64_t bytes() const { return 8 * int64_t(a.size()); }

private:
  std::vector<float> a, b;
};

/// B/s of one thread over two buffers of `bytes` in all.
double streamBandwidth(int64_t bytes, double seconds) {
  Stream stream(bytes);
  measureInTurn(seconds, {&stream.probe});
  return stream.bandwidth();
}

double sharedBandwidth(int64_t cores, int64_t bytes) {
  std::vector<double> rates(static_cast<size_t>(cores));
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < cores; ++i)
    threads.emplace_back([&, i] { rates[size_t(i)] = streamBandwidth(bytes, 0.2); });
  for (std::thread &thread : threads)
    thread.join();
  double sum = 0;
  for (double rate : rates)
    sum += rate;
  return rounded(sum);
}

/// Waits for a flag as the runtime does: spin, then let others run (the two
/// threads may share one core).
void await(const std::atomic<int> &flag, int value) {
  for (int spins = 0; flag.load(std::memory_order_acquire) != value; ++spins)
    if (spins > 2000)
      std::this_thread::yield();
}

struct Exchange {
  double latency = 0;   ///< Seconds of one message.
  double bandwidth = 0; ///< B/s of reading what the other thread just wrote.
};

/// Two threads in turn: each writes its buffer, signals, and copies the
/// other's.
Exchange measureExchange() {
  constexpr int kRounds = 2000, kCopies = 40;
  constexpr size_t kBytes = 1 << 20;
  std::vector<char> ours(kBytes, 1), theirs(kBytes, 2), copy(kBytes, 0);
  std::atomic<int> turn = 0;
  std::thread peer([&] {
    for (int i = 0; i < kRounds; ++i)
      await(turn, 2 * i + 1), turn.store(2 * i + 2, std::memory_order_release);
    for (int i = kRounds; i < kRounds + kCopies; ++i) {
      await(turn, 2 * i + 1);
      std::memset(theirs.data(), i, kBytes);
      turn.store(2 * i + 2, std::memory_order_release);
    }
  });
  Exchange result{1e30, 0};
  for (int i = 0; i < kRounds; ++i) {
    Clock::time_point start = Clock::now();
    turn.store(2 * i + 1, std::memory_order_release);
    await(turn, 2 * i + 2);
    result.latency = i == 0 ? 1e30 : std::min(result.latency, secondsSince(start) / 2);
  }
  for (int i = kRounds; i < kRounds + kCopies; ++i) {
    turn.store(2 * i + 1, std::memory_order_release);
    await(turn, 2 * i + 2);
    Clock::time_point start = Clock::now();
    std::memcpy(copy.data(), theirs.data(), kBytes);
    keep(copy.data());
    result.bandwidth = std::max(result.bandwidth, double(kBytes) / secondsSince(start));
  }
  peer.join();
  // The least round trip is what an idle host does; a barrier also waits for
  // the slower thread to notice.
  result.latency = rounded(std::max(4 * result.latency, 2e-7));
  result.bandwidth = rounded(result.bandwidth);
  return result;
}

/// An indirect call through a table that is not in the predictor's favour, with
/// its arguments in another cache line.
double callSeconds() {
  static std::atomic<int64_t> sink = 0;
  using Kernel = void (*)(const void *const *, int64_t);
  static constexpr Kernel kKernels[] = {[](const void *const *, int64_t n) { sink += n; },
                                        [](const void *const *, int64_t n) { sink -= n; },
                                        [](const void *const *args, int64_t) { sink ^= args[0] != nullptr; }};
  constexpr int kCalls = 4096;
  std::vector<const void *> arguments(size_t(kCalls) * 8, &sink);
  uint64_t state = 1;
  double seconds = leastSeconds(0.05, [&] {
    for (int i = 0; i < kCalls; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      kKernels[(state >> 33) % 3](&arguments[size_t(i) * 8], i);
    }
  });
  // The executor decodes an instruction and advances its stream besides: about
  // as much again, and never under 0.1 us.
  return rounded(std::max(2 * seconds / kCalls, 1e-7));
}

/// Of a stream that no cache holds.
constexpr int64_t kMemoryBytes = 128 << 20;

/// Depth of a product that does what the core can, and most bytes of its right matrix.
constexpr int64_t kDepth = 256, kMostCachedBytes = 512 << 10;

/// The depth that is lost with each block of sums, given seconds for one of a product in the cache at depth kShort and as it would be at the rate of
/// a deep one; see MatmulModel::smallK.
constexpr int64_t kShort = 16;
double smallKOf(double seconds, double atRate) {
  return rounded(std::max(0.0, double(kShort) * (seconds / atRate - 1)));
}

/// Share of the reading of a right matrix that does not stay in the cache that a product hides, given its seconds, what it would take where all
/// stays there, and what the memory takes for it.
double overlapOf(double seconds, double arithmetic, double traffic) {
  return rounded(std::clamp(1 - (seconds - arithmetic) / std::min(arithmetic, traffic), 0.0, 1.0));
}

/// The cache behind the core's own, as streams that the own cannot hold tell it: what the system says of it is the whole host's, while other cores, and others' machines, use it too, and pages do not fill it evenly.
class SharedCache {
public:
  explicit SharedCache(int64_t coreBytes) : part(4 * coreBytes), more(16 * coreBytes), most(64 * coreBytes) {}
  std::vector<Probe *> probes() { return {&part.probe, &more.probe, &most.probe}; }
  double bandwidth() const { return part.bandwidth(); }
  /// Of the streams as long as they fit, of a longer one the share that was still there from the last time; 0 where the cache is hardly faster
  /// than the memory.
  int64_t bytes(double memoryBandwidth) const {
    constexpr double kTelling = 1.2;
    if (part.bandwidth() < kTelling * memoryBandwidth)
      return 0;
    double all = 1 / memoryBandwidth - 1 / part.bandwidth(), held = 0; // seconds that each byte gains
    for (const Stream *stream : {&part, &more, &most}) {
      double gained = 1 / memoryBandwidth - 1 / stream->bandwidth();
      held = std::max(held, std::clamp(gained / all, 0.0, 1.0) * double(stream->bytes()));
    }
    return int64_t(rounded(held));
  }

private:
  Stream part, more, most;
};

/// What generated kernels reach of the rate of a product in the cache, with all loops around its blocks; and of that, attention
/// (docs/rationale/cost.md).
constexpr double kProductShare = 0.95;
constexpr double kAttentionShare = 0.5;

/// What one core does; of `host` the cache.
DeviceType measureCore(Host &host) {
  DeviceType device;
  device.name = "cpu-core";
  device.memoryBytes = hostMemory();
  device.cacheBytes = cacheBytes();
  device.launchSeconds = callSeconds();
  Stream memory(kMemoryBytes), cache(device.cacheBytes / 2);
  SharedCache shared(std::min(device.cacheBytes, kMemoryBytes / 64));
  int64_t cached = std::min(kMostCachedBytes, device.cacheBytes / 2);
  MatmulProbe deep = probeMatmul(cached, kDepth), shallow = probeMatmul(cached, kShort),
              streamed = probeMatmul(kMemoryBytes, kDepth);
  Probe deepTime{deep.run}, shallowTime{shallow.run}, streamedTime{streamed.run};
  std::vector<Probe *> probes{&deepTime, &shallowTime, &cache.probe, &streamedTime, &memory.probe};
  for (Probe *probe : shared.probes())
    probes.push_back(probe);
  measureInTurn(3, std::move(probes));
  device.memoryBandwidth = memory.bandwidth();
  device.cacheBandwidth = std::max(device.memoryBandwidth, cache.bandwidth());
  host.cacheBytes = shared.bytes(device.memoryBandwidth);
  host.cacheBandwidth = std::max(device.memoryBandwidth, shared.bandwidth());
  double rate = rounded(deep.flops / deepTime.least);
  device.overlap = overlapOf(streamedTime.least, streamed.flops / rate, streamed.bytes / device.memoryBandwidth);
  device.peak[size_t(DType::F32)] = rate;
  device.peak[size_t(DType::F64)] = rounded(rate / 2);
  device.vectorFlops = rounded(rate / 2); // not all of it is multiply-add
  // Few columns are as many loads of the left matrix as many; few rows wait for one sum after the other.
  device.matmul.tiles = {{deep.rows, deep.cols, 1.0}, {deep.rows, deep.width, 0.9}, {1, deep.cols, 0.35}};
  device.matmul.efficiency = kProductShare;
  device.matmul.attention = kAttentionShare;
  device.matmul.smallK = smallKOf(shallowTime.least, shallow.flops / rate);
  return device;
}

} // namespace

double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2e", value);
  return std::strtod(text, nullptr);
}

Result<Machine> calibrateHost() {
  Machine machine;
  machine.name = "host";
  machine.note = "measured on this host by mpopt calibrate";
  int64_t cores = usableCores();
  Host host{cores, hostMemory()};
  machine.devices.push_back(measureCore(host));
  double shared = std::max(sharedBandwidth(cores, kMemoryBytes), machine.devices[0].memoryBandwidth);
  host.memoryBandwidth = shared;
  machine.host = host;
  Exchange exchange = measureExchange();
  machine.links.push_back({"shared-memory",
                           1024,
                           exchange.latency,
                           exchange.bandwidth,
                           std::max(shared, exchange.bandwidth),
                           {Algorithm::Direct}});
  machine.groups.push_back({0, std::numeric_limits<int64_t>::max()});
  return machine;
}

} // namespace mpopt::machine
