// Plan files and numpy files that must be refused, and what the verifier refuses in plans that are whole.
#include "PlanMaker.h"
#include "core/Loader.h"
#include "core/Verify.h"

#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <random>

namespace mpopt::runtime {
namespace {

using testing::HasSubstr;

/// Two ranks, most tables of the format in use.
PlanMaker small() {
  PlanMaker maker(2);
  uint32_t x = maker.work({1, 64}), y = maker.work({1, 64}), both = maker.groups({{0, 1}});
  uint32_t w = maker.weights({64}, std::vector<float>(64, 1.0f));
  maker.kernel("add", {x, w}, {y});
  maker.collective(plan::CollectiveKind::all_reduce, both, y, y);
  maker.copy(y, x);
  maker.input("x", {static_cast<int32_t>(x)});
  maker.output("y", {static_cast<int32_t>(y)});
  return maker;
}

std::string readAll(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void writeAll(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string errorOf(const std::string &path) {
  auto loaded = LoadedPlan::open(path);
  return loaded ? "" : loaded.error().message;
}

TEST(PlanFileTest, everyFlippedByteAndEveryCutIsRefused) {
  PlanMaker maker = small();
  std::string path = maker.write();
  maker.plan.elf.resize(16); // keep the file small; nothing is executed here
  ASSERT_TRUE(writePlan(path, maker.plan));
  ASSERT_EQ(errorOf(path), "");
  std::string whole = readAll(path);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    writeAll(path, bad);
    ASSERT_THAT(errorOf(path), HasSubstr("test.mpplan")) << "byte " << i << " of " << whole.size();
    writeAll(path, whole.substr(0, i));
    ASSERT_THAT(errorOf(path), HasSubstr("test.mpplan")) << "cut to " << i;
  }
  writeAll(path, whole + " ");
  EXPECT_THAT(errorOf(path), HasSubstr("test.mpplan"));
}

/// A hostile plan has a correct hash. Whatever its bytes, it is refused or means something; it never makes the reader crash.
TEST(PlanFileTest, changedPlansWithCorrectHashesNeverCrashTheVerifier) {
  PlanMaker maker = small();
  flatbuffers::FlatBufferBuilder builder;
  plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &maker.plan));
  std::vector<uint8_t> whole(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  std::mt19937 random(3);
  int structured = 0;
  for (int i = 0; i < 30000; ++i) {
    std::vector<uint8_t> bad = whole;
    for (int changes = static_cast<int>(random() % 3); changes >= 0; --changes)
      bad[random() % bad.size()] = static_cast<uint8_t>(random() % 2 ? random() : random() % 2 ? 255 : 127);
    flatbuffers::Verifier verifier(bad.data(), bad.size());
    if (!plan::VerifyPlanBuffer(verifier))
      continue;
    ++structured;
    [[maybe_unused]] bool meaningful = verifyPlan(*plan::GetPlan(bad.data())).has_value();
  }
  EXPECT_GT(structured, 1000);
}

TEST(PlanFileTest, version) {
  PlanMaker maker = small();
  maker.plan.version = plan::kFormatVersion + 1;
  EXPECT_THAT(errorOf(maker.write()), HasSubstr("format version"));
}

TEST(PlanFileTest, weights) {
  PlanMaker maker = small();
  std::string path = maker.write(), weights = testFolder() + "/weights.bin", whole = readAll(weights);
  EXPECT_EQ(errorOf(path), "");
  writeAll(weights, whole.substr(1));
  EXPECT_THAT(errorOf(path), HasSubstr("weights.bin' have 255 bytes"));
  whole[9] ^= 4;
  writeAll(weights, whole);
  EXPECT_THAT(errorOf(path), HasSubstr("weights.bin' are damaged"));
  ASSERT_EQ(remove(weights.c_str()), 0);
  EXPECT_THAT(errorOf(path), HasSubstr("weights.bin': No such file"));
}

using Plan = plan::PlanT;
struct Bad {
  const char *message;
  std::function<void(Plan &)> change;
};

plan::BufferT &buffer(Plan &plan, size_t i) { return *plan.programs[0]->buffers[i]; }
plan::InstructionT &call(Plan &plan, size_t i) { return *plan.programs[0]->instructions[i]; }
plan::CollectiveT &reduction(Plan &plan) { return *call(plan, 1).op.AsCollective(); }

std::vector<Bad> badPlans() {
  return {
      {"target", [](Plan &plan) { plan.target = "tpu"; }},
      {"no ranks", [](Plan &plan) { plan.ranks.clear(); }},
      {"program does not exist", [](Plan &plan) { plan.ranks[0]->program = 1; }},
      {"outside its folder", [](Plan &plan) { plan.weights_file = "../weights.bin"; }},
      {"outside its folder", [](Plan &plan) { plan.weights_file = "/weights.bin"; }},
      {"has kernels but no code", [](Plan &plan) { plan.elf.clear(); }},
      {"outside the work area", [](Plan &plan) { buffer(plan, 1).offset = 1 << 20; }},
      {"outside the work area", [](Plan &plan) { buffer(plan, 1).offset = UINT64_MAX - 63; }},
      {"multiple of 64", [](Plan &plan) { buffer(plan, 1).offset += 4; }},
      {"does not fit its", [](Plan &plan) { buffer(plan, 1).bytes = 100; }},
      {"does not fit its", [](Plan &plan) { buffer(plan, 1).shape = {1L << 62, 64}; }},
      {"does not fit its", [](Plan &plan) { buffer(plan, 1).shape = {-1, -64}; }},
      {"its weight does not exist", [](Plan &plan) { buffer(plan, 2).offset = 1; }},
      {"its weight does not exist",
       [](Plan &plan) {
         buffer(plan, 2).shape = {1, 64};
         buffer(plan, 2).offset = uint64_t(1) << 31;
         call(plan, 1).reads = {2};
       }},
      {"outside the weights file", [](Plan &plan) { plan.ranks[1]->weights[0]->offset = 64; }},
      {"outside the weights file", [](Plan &plan) { plan.weights_file.clear(); }},
      {"buffer 9 does not exist", [](Plan &plan) { call(plan, 2).reads = {9}; }},
      {"read-only", [](Plan &plan) { call(plan, 2).writes = {2}; }},
      {"no earlier instruction", [](Plan &plan) { call(plan, 0).waits = {0}; }},
      {"no earlier instruction", [](Plan &plan) { call(plan, 1).waits = {0}; }},
      {"node does not exist", [](Plan &plan) { call(plan, 1).node = 7; }},
      {"stream does not exist", [](Plan &plan) { call(plan, 1).stream = 2; }},
      {"kernel does not exist", [](Plan &plan) { call(plan, 0).op.AsKernelCall()->kernel = 1; }},
      {"groups do not exist", [](Plan &plan) { reduction(plan).group_set = 1; }},
      {"sequence number", [](Plan &plan) { reduction(plan).sequence = 1; }},
      {"share memory", [](Plan &plan) { reduction(plan).kind = plan::CollectiveKind::permute; }},
      {"do not hold every rank", [](Plan &plan) { plan.group_sets[0]->groups[0]->ranks = {1}; }},
      {"is in it twice", [](Plan &plan) { plan.group_sets[0]->groups[0]->ranks = {1, 1}; }},
      {"rank 2 does not exist", [](Plan &plan) { plan.group_sets[0]->groups[0]->ranks = {0, 2}; }},
      {"cannot make [64, 1] of [1, 64]",
       [](Plan &plan) {
         call(plan, 1).writes = {0};
         reduction(plan).kind = plan::CollectiveKind::all_gather;
         buffer(plan, 0).shape = {64, 1};
       }},
      {"dimension 5",
       [](Plan &plan) {
         call(plan, 1).writes = {0};
         reduction(plan).kind = plan::CollectiveKind::all_gather;
         reduction(plan).dim = 5;
       }},
      {"halo over 2 ranks cannot make [1, 63] of [1, 64]",
       [](Plan &plan) { // the smallest number has no absolute value
         call(plan, 1).reads = {0};
         reduction(plan).kind = plan::CollectiveKind::halo;
         reduction(plan).dim = 1, reduction(plan).low = INT64_MIN, reduction(plan).high = INT64_MAX;
         buffer(plan, 1).shape = {1, 63};
       }},
      {"larger than its operand",
       [](Plan &plan) {
         buffer(plan, 1).shape = {1, 16};
         buffer(plan, 1).bytes = 64;
       }},
      {"misses some ranks", [](Plan &plan) { plan.inputs[0]->buffers.pop_back(); }},
      {"another element type", [](Plan &plan) { plan.inputs[0]->dtype = plan::DType::i32; }},
      {"outside its shape", [](Plan &plan) { plan.inputs[0]->boxes[0]->start = {2, 0}; }},
      {"outside its shape", [](Plan &plan) { plan.inputs[0]->boxes[0]->size = {1, 65}; }},
      {"no rank holds", [](Plan &plan) { plan.outputs[0]->buffers[1] = -1; }},
      {"is used twice", [](Plan &plan) { plan.inputs.push_back(std::make_unique<plan::PortT>(*plan.inputs[0])); }},
  };
}

TEST(PlanFileTest, verifierRefuses) {
  for (const Bad &bad : badPlans()) {
    PlanMaker maker = small();
    std::string path = maker.write();
    bad.change(maker.plan);
    ASSERT_TRUE(writePlan(path, maker.plan));
    EXPECT_THAT(errorOf(path), HasSubstr(bad.message));
  }
}

/// `plan`, as bytes, with its first buffer's shape copied to the end, `shift` bytes behind where it would be aligned.
std::vector<uint8_t> withMovedShape(const Plan &plan, size_t shift) {
  flatbuffers::FlatBufferBuilder builder;
  plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &plan));
  std::vector<uint8_t> bytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  const plan::Buffer *buffer = items(items(plan::GetPlan(bytes.data())->programs())[0]->buffers())[0];
  const auto *shape = reinterpret_cast<const uint8_t *>(buffer->shape());
  std::vector<uint8_t> copy(shape, shape + sizeof(uint32_t) + buffer->shape()->size() * sizeof(int64_t));
  size_t field = reinterpret_cast<const uint8_t *>(buffer) - bytes.data() +
                 reinterpret_cast<const flatbuffers::Table *>(buffer)->GetOptionalFieldOffset(plan::Buffer::VT_SHAPE);
  size_t to = (bytes.size() + 7) / 8 * 8 + sizeof(uint32_t) + shift;
  bytes.resize(to);
  bytes.insert(bytes.end(), copy.begin(), copy.end());
  flatbuffers::WriteScalar(bytes.data() + field, static_cast<uint32_t>(to - field));
  return bytes;
}

TEST(PlanFileTest, numbersThatAreNotAlignedAreRefused) {
  PlanMaker maker = small();
  maker.write(); // takes the kernels into the plan
  for (size_t shift : {0, 4}) {
    std::vector<uint8_t> bytes = withMovedShape(maker.plan, shift);
    flatbuffers::Verifier verifier(bytes.data(), bytes.size());
    ASSERT_TRUE(plan::VerifyPlanBuffer(verifier));
    Status status = verifyPlan(*plan::GetPlan(bytes.data()));
    EXPECT_EQ(status ? "" : status.error().message,
              shift == 0 ? "" : "the plan is not valid: some of its numbers are not aligned");
  }
}

TEST(PlanFileTest, safePaths) {
  for (const char *path : {"a", "a/b", "..a", "a..", "a/..b/c"})
    EXPECT_TRUE(isSafePath(path)) << path;
  for (const char *path : {"", "/a", "..", "../a", "a/..", "a/../b"})
    EXPECT_FALSE(isSafePath(path)) << path;
}

TEST(NpyTest, roundTrip) {
  std::string path = testFolder() + "/x.npy";
  for (plan::DType dtype : plan::EnumValuesDType())
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{}, {0}, {3}, {2, 3}, {1, 2, 3, 4}}) {
      Tensor tensor = makeTensor(dtype, shape, std::vector<double>(*elementCount(shape), 1.0));
      Status written = writeNpy(path, tensor);
      ASSERT_TRUE(written) << written.error().message;
      EXPECT_EQ(readAll(path).find('\n') % 64, 63u);
      auto read = readNpy(path);
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(read->shape, shape);
      EXPECT_EQ(read->dtype, dtype);
      EXPECT_EQ(read->data, tensor.data);
    }
}

/// The file that numpy makes of a header and contents.
void writeRaw(const std::string &path, const std::string &header, const std::string &data, char version = 1) {
  std::string start = std::string("\x93NUMPY") + version + '\0';
  start += static_cast<char>(header.size());
  start += std::string(version == 1 ? 1 : 3, '\0');
  std::ofstream(path, std::ios::binary) << start << header << data;
}

TEST(NpyTest, anyOrder) {
  std::string path = testFolder() + "/x.npy";
  using std::string_literals::operator""s;
  // 2 x 3: columns are (1, 2), (3, 4), (5, 6); as 16-bit numbers, low byte first and high byte first.
  writeRaw(path, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3)}", "\1\0\2\0\3\0\4\0\5\0\6\0"s, 3);
  auto read = readNpy(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(valuesOf(*read), (std::vector<double>{1, 3, 5, 2, 4, 6}));
  writeRaw(path, "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3)}", "\0\1\0\2\0\3\0\4\0\5\1\0"s);
  EXPECT_EQ(valuesOf(*readNpy(path)), (std::vector<double>{1, 2, 3, 4, 5, 256}));
  writeRaw(path, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 0)}", "");
  EXPECT_TRUE(readNpy(path));
  std::ofstream(path) << "PK\3\4 and more";
  EXPECT_THAT(readNpy(path).error().message, HasSubstr("archive (.npz); save each array"));
}

TEST(NpyTest, refusals) {
  std::string path = testFolder() + "/x.npy";
  auto file = [&](const std::string &header, size_t bytes, char version = 1) {
    std::string start = std::string("\x93NUMPY") + version + '\0' + static_cast<char>(header.size()) + '\0';
    writeAll(path, start + header + std::string(bytes, '\0'));
    auto read = readNpy(path);
    return read ? std::string("read") : read.error().message;
  };
  auto of = [&](const std::string &descr, const std::string &order, const std::string &shape, size_t bytes) {
    return file("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n", bytes);
  };
  EXPECT_EQ(of("'<f4'", "False", "(2, 3)", 24), "read");
  EXPECT_THAT(of("'<f4'", "False", "(2, 3)", 23), HasSubstr("does not fit its shape [2, 3]"));
  EXPECT_THAT(of("'<f4'", "False", "(2, 3)", 25), HasSubstr("does not fit its shape"));
  EXPECT_THAT(of("'<c8'", "False", "(2, 3)", 48), HasSubstr("its type '<c8' is not supported; convert it"));
  EXPECT_THAT(of("[('a', '<f4')]", "False", "(2,)", 8), HasSubstr("not supported"));
  EXPECT_THAT(of("'<f4'", "False", "(4611686018427387904, 8)", 0), HasSubstr("too large"));
  EXPECT_THAT(of("'<f4'", "False", "(99999999999999999999, 8)", 0), HasSubstr("cannot be read"));
  EXPECT_THAT(of("'<f4'", "False", "(-2, 8)", 0), HasSubstr("cannot be read"));
  EXPECT_THAT(file("{'descr': '<f4', }\n", 0), HasSubstr("no numpy header"));
  EXPECT_THAT(file("", 0), HasSubstr("no numpy header"));
  EXPECT_THAT(file("{}", 0, 4), HasSubstr("version is 4"));
  writeAll(path, "\x93NUM");
  EXPECT_FALSE(readNpy(path));
  EXPECT_FALSE(readNpy(testFolder()));
  EXPECT_FALSE(readNpy(testFolder() + "/none.npy"));
  EXPECT_FALSE(writeNpy(testFolder() + "/none/x.npy", makeTensor(plan::DType::f32, {1}, {1})));
}

} // namespace
} // namespace mpopt::runtime
