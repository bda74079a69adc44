// Whole programs: kernels, weights, messages, init instructions, and what must not happen while they run.
#include "PlanMaker.h"
#include "core/Executor.h"
#include "launch/Backend.h"
#include "launch/Session.h"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

namespace {
std::atomic<bool> counting{false};
std::atomic<int> allocations{0};
void count() {
  if (counting.load(std::memory_order_relaxed))
    allocations.fetch_add(1);
}
} // namespace

// All of the process's heap goes through here (operator new calls malloc), but not that of sanitizers.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *malloc(size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
void *calloc(size_t number, size_t bytes) {
  count();
  return __libc_calloc(number, bytes);
}
void *realloc(void *memory, size_t bytes) {
  count();
  return __libc_realloc(memory, bytes);
}
}
#endif

namespace mpopt::runtime {
namespace {

using plan::CollectiveKind;

/// Two ranks: y = (x + 1 + w) summed over both, then exchanged.
PlanMaker sumOfTwo() {
  PlanMaker maker(2);
  uint32_t x = maker.work({1, 64}), a = maker.work({1, 64}), b = maker.work({1, 64}), y = maker.work({1, 64});
  std::vector<float> weight(64);
  std::iota(weight.begin(), weight.end(), 0.0f);
  uint32_t w = maker.weights({64}, weight), both = maker.groups({{0, 1}});
  maker.kernel("add_one", {x}, {a});
  maker.kernel("add", {a, w}, {b});
  maker.collective(CollectiveKind::all_reduce, both, b, b);
  maker.collective(CollectiveKind::permute, both, b, a).permutation = {1, 0};
  maker.copy(a, y);
  maker.input("x", {static_cast<int32_t>(x)});
  maker.output("y", {static_cast<int32_t>(y)});
  return maker;
}

std::vector<double> counted(size_t count) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}

TEST(ProgramTest, kernelsWeightsAndCollectives) {
  PlanMaker maker = sumOfTwo();
  std::string path = maker.write();
  for (bool processes : {false, true}) {
    auto outputs = runPlan(path, {makeTensor(plan::DType::f32, {2, 64}, counted(128))}, processes, 5);
    ASSERT_TRUE(outputs) << outputs.error().message;
    std::vector<double> found = valuesOf((*outputs)[0]);
    for (int i = 0; i < 128; ++i)
      EXPECT_EQ(found[i], 2 * (i % 64) + 64 + 2 + 2 * (i % 64)) << i;
  }
}

/// Both ranks send before either receives, and overwrite what they sent.
PlanMaker exchange() {
  PlanMaker maker(2);
  for (uint32_t rank : {0u, 1u}) {
    if (rank == 1)
      maker.beginProgram();
    maker.plan.ranks[rank]->program = rank;
    int32_t distance = rank == 0 ? 1 : -1;
    uint32_t x = maker.work({1, 64}), y = maker.work({1, 64});
    maker.kernel("add_one", {x}, {x});
    maker.send(distance, 7 + rank, x);
    maker.recv(distance, 8 - rank, y);
    maker.kernel("add_one", {x}, {x});
    maker.send(distance, 17 + rank, x);
    maker.recv(distance, 18 - rank, x);
    maker.kernel("add", {x, y}, {y});
  }
  maker.input("x", {0});
  maker.output("y", {1});
  return maker;
}

TEST(ProgramTest, messagesCross) {
  PlanMaker maker = exchange();
  // The second receive writes what the second send reads, so neither rank could go on: it is received elsewhere.
  for (auto &program : maker.plan.programs) {
    program->buffers.push_back(std::make_unique<plan::BufferT>(*program->buffers[0]));
    program->buffers.back()->offset = program->work_bytes;
    program->work_bytes += 256;
    program->instructions[5]->writes = {2};
    program->instructions[6]->reads = {2, 1};
  }
  std::string path = maker.write();
  for (bool processes : {false, true}) {
    auto outputs = runPlan(path, {makeTensor(plan::DType::f32, {2, 64}, counted(128))}, processes, 20);
    ASSERT_TRUE(outputs) << outputs.error().message;
    std::vector<double> found = valuesOf((*outputs)[0]);
    for (int i = 0; i < 128; ++i)
      EXPECT_EQ(found[i], 2 * ((i + 64) % 128) + 3) << i;
  }
}

TEST(ProgramTest, deadlockIsRefused) {
  auto outputs = runPlan(exchange().write(), {});
  ASSERT_FALSE(outputs);
  EXPECT_THAT(outputs.error().message, testing::HasSubstr("rank 0 would wait forever for rank 1 to receive what send#4 "
                                                          "(node /layer/node) sends"));
}

TEST(ProgramTest, initInstructionsMakeWeights) {
  PlanMaker maker(2);
  uint32_t x = maker.work({1, 64}), y = maker.work({1, 64}), weight = maker.weights({64}, std::vector<float>(64)),
           source = maker.work({64});
  plan::BufferT &buffer = *maker.program().buffers[source];
  buffer.space = plan::Space::source;
  buffer.offset = 0;
  maker.kernel("add_one", {source}, {weight});
  maker.program().init = std::move(maker.program().instructions);
  maker.program().instructions.clear();
  maker.kernel("add", {x, weight}, {y});
  maker.input("x", {static_cast<int32_t>(x)});
  maker.output("y", {static_cast<int32_t>(y)});
  maker.plan.sources.push_back(std::make_unique<plan::SourceT>());
  maker.plan.sources[0]->file = "data.bin";
  maker.plan.sources[0]->offset = 5;
  maker.plan.sources[0]->bytes = 256;
  std::string path = maker.write();
  Tensor data = makeTensor(plan::DType::f32, {64}, counted(64));
  std::ofstream(testFolder() + "/data.bin")
      .write("12345", 5)
      .write(reinterpret_cast<const char *>(data.data.data()), 256);
  for (bool processes : {false, true}) {
    auto outputs = runPlan(path, {makeTensor(plan::DType::f32, {2, 64}, counted(128))}, processes, 2);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (int i = 0; i < 128; ++i)
      EXPECT_EQ(valuesOf((*outputs)[0])[i], i + i % 64 + 1) << i;
  }
  std::ofstream(testFolder() + "/data.bin").write("12345", 5);
  EXPECT_THAT(runPlan(path, {}).error().message, testing::HasSubstr("data.bin' has 5 bytes"));
}

/// Empty tensors lie nowhere: their arena, weights and sources have no bytes.
TEST(ProgramTest, emptyTensorsPass) {
  PlanMaker maker(2);
  uint32_t x = maker.work({1, 0}), y = maker.work({1, 0}), all = maker.work({2, 0}), both = maker.groups({{0, 1}});
  uint32_t weight = maker.weights({1, 0}, {}), made = maker.weights({1, 0}, {}), source = maker.work({1, 0});
  maker.program().buffers[source]->space = plan::Space::source;
  maker.plan.sources.push_back(std::make_unique<plan::SourceT>());
  maker.plan.sources[0]->file = "data.bin";
  maker.copy(source, made);
  maker.program().init = std::move(maker.program().instructions);
  maker.program().instructions.clear();
  for (uint32_t from : {x, weight, made})
    maker.copy(from, y);
  for (CollectiveKind kind : {CollectiveKind::all_reduce, CollectiveKind::permute, CollectiveKind::reduce_scatter})
    maker.collective(kind, both, x, y).permutation = {1, 0};
  maker.collective(CollectiveKind::all_gather, both, x, all);
  maker.collective(CollectiveKind::all_to_all, both, all, y).split_dim = 1;
  maker.collective(CollectiveKind::halo, both, x, y).dim = 1;
  maker.input("x", {static_cast<int32_t>(x)});
  maker.output("y", {static_cast<int32_t>(y)});
  std::string path = maker.write();
  std::ofstream(testFolder() + "/data.bin");
  for (bool processes : {false, true}) {
    auto outputs = runPlan(path, {makeTensor(plan::DType::f32, {2, 0}, {})}, processes, 2);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ((*outputs)[0].shape, (std::vector<int64_t>{2, 0}));
  }
}

TEST(ProgramTest, nothingIsAllocatedAfterLoad) {
  // Only in sanitizer builds, where malloc is the sanitizer's own and cannot be replaced by one that counts; ordinary builds run it.
  if (kSanitized)
    GTEST_SKIP() << "a sanitizer's heap cannot be counted; run this test in an ordinary build";
  PlanMaker maker = sumOfTwo();
  uint32_t wide = maker.work({1, 64, 256}), other = maker.work({1, 64, 256}), both = maker.groups({{0, 1}});
  maker.collective(CollectiveKind::all_reduce, both, wide, other); // too large for staging
  plan::CollectiveT &swap = maker.collective(CollectiveKind::all_to_all, both, wide, maker.work({1, 128, 128}));
  swap.dim = 1;
  swap.split_dim = 2;
  auto loaded = LoadedPlan::open(maker.write());
  ASSERT_TRUE(loaded) << loaded.error().message;
  auto session = Session::create(*loaded, {}); // for its layout of host memory only
  auto backend = createBackend(*loaded);
  ASSERT_TRUE(backend) << backend.error().message;
  PortLayout ports = PortLayout::of(loaded->plan());
  std::vector<std::byte> host(ports.bytes);
  Progress progress[2];
  std::atomic<int> failures{0};
  auto instructions = static_cast<uint32_t>(items(loaded->programOf(0).instructions()).size());
  std::vector<TraceEvent> events[2];
  auto body = [&](unsigned rank) {
    events[rank].resize(2 * TraceBuffer::slots(instructions));
    TraceBuffer trace{events[rank].data(), 2, instructions};
    progress[rank].logsWaits = true;
    auto device = (*backend)->createDevice(rank);
    auto communicator = (*backend)->createCommunicator(rank, progress[rank]);
    auto executor =
        Executor::create({*loaded, rank, **device, **communicator, progress[rank], ports, host.data(), trace, {}});
    bool ok = executor && (*communicator)->barrier();
    counting = true;
    for (uint64_t step = 0; ok && step < 200; ++step)
      ok = executor->run(step).has_value() && (*communicator)->barrier().has_value();
    counting = false;
    failures += !ok;
  };
  std::thread first(body, 0);
  body(1);
  first.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(allocations, 0);
}

/// The slices of a trace by category; each must lie within one of the category around it, on the same track.
std::map<std::string, std::vector<nlohmann::json>> slicesOf(const nlohmann::json &trace) {
  std::map<std::string, std::vector<nlohmann::json>> slices;
  for (const auto &event : trace["traceEvents"])
    if (event["ph"] == "X")
      slices[event["cat"].get<std::string>()].push_back(event);
  auto lieWithin = [](const std::vector<nlohmann::json> &inner, const std::vector<nlohmann::json> &outer) {
    constexpr double kRounding = 1e-3;
    auto end = [](const nlohmann::json &event) { return event["ts"].get<double>() + event["dur"].get<double>(); };
    return std::ranges::all_of(inner, [&](const nlohmann::json &child) {
      return std::ranges::any_of(outer, [&](const nlohmann::json &parent) {
        return child["tid"] == parent["tid"] && child["ts"].get<double>() >= parent["ts"].get<double>() - kRounding &&
               end(child) <= end(parent) + kRounding;
      });
    });
  };
  EXPECT_TRUE(lieWithin(slices["wait"], slices["communication"]));
  EXPECT_TRUE(lieWithin(slices["communication"], slices["step"]));
  EXPECT_TRUE(lieWithin(slices["kernel"], slices["step"]));
  return slices;
}

TEST(ProgramTest, traceHasATrackPerRank) {
  PlanMaker maker = sumOfTwo();
  // Names that JSON must escape, and one that is no UTF-8.
  maker.plan.names[1] = "/layer \"0\"\\\n\xc3\xa9";
  maker.plan.names.push_back("bad \xff byte");
  maker.plan.programs[0]->instructions[0]->other_nodes = {2};
  maker.plan.group_sets[0]->axes = "x0";
  auto loaded = LoadedPlan::open(maker.write());
  ASSERT_TRUE(loaded) << loaded.error().message;
  for (bool processes : {false, true}) {
    auto session = Session::create(*loaded, {processes, 12, 20, true});
    ASSERT_TRUE(session);
    ASSERT_TRUE(session->run());
    std::string path = testFolder() + "/trace.json";
    ASSERT_TRUE(session->writeTrace(path));
    std::ifstream file(path);
    auto slices = slicesOf(nlohmann::json::parse(file));
    // The latest 8 of the 12 steps, on two ranks.
    EXPECT_EQ(slices["step"].size(), 16u);
    EXPECT_EQ(slices["step"][0]["name"], "step 4");
    EXPECT_EQ(slices["communication"].size(), 2u * 8 * 2);
    EXPECT_EQ(slices["kernel"].size(), 2u * 8 * 2);
    EXPECT_GE(slices["wait"].size(), slices["communication"].size());
    for (const auto &event : slices["communication"]) {
      EXPECT_EQ(event["name"], maker.plan.names[1]);
      EXPECT_EQ(event["args"]["bytes"], 256);
      EXPECT_EQ(event["args"]["axes"], "x0");
      EXPECT_EQ(event["args"]["group"], (std::vector<int>{0, 1}));
      EXPECT_NEAR(event["args"]["waiting_us"].get<double>() + event["args"]["working_us"].get<double>(), event["dur"],
                  1e-3);
    }
    EXPECT_EQ(slices["kernel"][0]["args"]["also"][0], "bad \xef\xbf\xbd byte");
  }
  EXPECT_FALSE(Session::create(*loaded, {})->writeTrace(testFolder() + "/no/trace.json"));
}

TEST(ProgramTest, missingKernelIsRefused) {
  PlanMaker maker = sumOfTwo();
  maker.plan.kernels[1] = "no_such_kernel";
  EXPECT_THAT(runPlan(maker.write(), {}).error().message, testing::HasSubstr("no kernel 'no_such_kernel'"));
  maker.plan.cpu = "z80";
  EXPECT_THAT(runPlan(maker.write(), {}).error().message, testing::HasSubstr("'z80'"));
}

} // namespace
} // namespace mpopt::runtime
