#include "PlanMaker.h"
#include "launch/Session.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>
#include <xxhash.h>

namespace mpopt::runtime {
namespace {

uint64_t bytesOf(const std::vector<int64_t> &shape, plan::DType dtype) { return *elementCount(shape) * sizeOf(dtype); }

std::vector<uint8_t> readAll(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename Stored> void encode(std::vector<std::byte> &data, const std::vector<double> &values) {
  for (double value : values) {
    auto stored = static_cast<Stored>(value);
    auto *bytes = reinterpret_cast<const std::byte *>(&stored);
    data.insert(data.end(), bytes, bytes + sizeof stored);
  }
}

template <typename Stored> std::vector<double> decode(const std::vector<std::byte> &data) {
  std::vector<double> values(data.size() / sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, data.data() + i * sizeof stored, sizeof stored);
    values[i] = static_cast<double>(stored);
  }
  return values;
}

/// Calls visit with a value of the C++ type of `dtype`.
template <typename Visit> auto dispatch(plan::DType dtype, Visit visit) {
  switch (dtype) {
  case plan::DType::f64:
    return visit(double());
  case plan::DType::f16:
    return visit(_Float16());
  case plan::DType::i8:
    return visit(int8_t());
  case plan::DType::u8:
  case plan::DType::boolean:
    return visit(uint8_t());
  case plan::DType::i16:
    return visit(int16_t());
  case plan::DType::u16:
    return visit(uint16_t());
  case plan::DType::i32:
    return visit(int32_t());
  case plan::DType::u32:
    return visit(uint32_t());
  case plan::DType::i64:
    return visit(int64_t());
  case plan::DType::u64:
    return visit(uint64_t());
  default:
    return visit(float());
  }
}

} // namespace

PlanMaker::PlanMaker(unsigned ranks) {
  plan.version = plan::kFormatVersion;
  plan.target = "cpu";
  plan.cpu = "x86-64-v3";
  plan.devices = ranks;
  plan.names = {"", "/layer/node"};
  for (unsigned i = 0; i < ranks; ++i)
    plan.ranks.push_back(std::make_unique<plan::RankT>());
  beginProgram();
}

uint32_t PlanMaker::work(std::vector<int64_t> shape, plan::DType dtype) {
  auto buffer = std::make_unique<plan::BufferT>();
  buffer->space = plan::Space::work;
  buffer->offset = program().work_bytes;
  buffer->bytes = bytesOf(shape, dtype);
  buffer->dtype = dtype;
  buffer->shape = std::move(shape);
  program().work_bytes += (buffer->bytes + 63) / 64 * 64;
  program().buffers.push_back(std::move(buffer));
  return program().buffers.size() - 1;
}

uint32_t PlanMaker::view(uint32_t buffer, std::vector<int64_t> shape) {
  auto copy = std::make_unique<plan::BufferT>(*program().buffers[buffer]);
  copy->shape = std::move(shape);
  program().buffers.push_back(std::move(copy));
  return program().buffers.size() - 1;
}

uint32_t PlanMaker::weights(std::vector<int64_t> shape, const std::vector<float> &values) {
  uint64_t offset = weightBytes.size(), bytes = values.size() * sizeof(float);
  weightBytes.resize(offset + (bytes + 63) / 64 * 64);
  std::ranges::copy(std::as_bytes(std::span(values)), weightBytes.begin() + static_cast<std::ptrdiff_t>(offset));
  for (auto &rank : plan.ranks) {
    rank->weights.push_back(std::make_unique<plan::WeightSliceT>());
    rank->weights.back()->offset = offset;
    rank->weights.back()->bytes = bytes;
  }
  uint32_t index = work(std::move(shape));
  plan::BufferT &buffer = *program().buffers[index];
  program().work_bytes = buffer.offset; // it needs no room there
  buffer.space = plan::Space::weights;
  buffer.offset = plan.ranks[0]->weights.size() - 1;
  return index;
}

uint32_t PlanMaker::groups(const std::vector<std::vector<uint32_t>> &ranks) {
  auto set = std::make_unique<plan::GroupSetT>();
  for (const auto &members : ranks) {
    set->groups.push_back(std::make_unique<plan::GroupT>());
    set->groups.back()->ranks = members;
  }
  plan.group_sets.push_back(std::move(set));
  return plan.group_sets.size() - 1;
}

template <typename OpT>
plan::InstructionT &PlanMaker::add(OpT op, std::vector<uint32_t> reads, std::vector<uint32_t> writes) {
  auto instruction = std::make_unique<plan::InstructionT>();
  instruction->op.Set(std::move(op));
  instruction->reads = std::move(reads);
  instruction->writes = std::move(writes);
  instruction->node = 1;
  program().instructions.push_back(std::move(instruction));
  return *program().instructions.back();
}

void PlanMaker::kernel(const std::string &symbol, std::vector<uint32_t> reads, std::vector<uint32_t> writes) {
  plan::KernelCallT call;
  call.kernel = plan.kernels.size();
  plan.kernels.push_back(symbol);
  add(call, std::move(reads), std::move(writes));
}

void PlanMaker::copy(uint32_t from, uint32_t to) { add(plan::CopyT(), {from}, {to}); }

plan::CollectiveT &PlanMaker::collective(plan::CollectiveKind kind, uint32_t groupSet, uint32_t from, uint32_t to) {
  plan::CollectiveT call;
  call.kind = kind;
  call.group_set = groupSet;
  call.sequence = numCollectives++;
  return *add(call, {from}, {to}).op.AsCollective();
}

plan::CollectiveT &PlanMaker::route(plan::CollectiveKind kind, uint32_t groupSet, uint32_t from, uint32_t indices,
                                    uint32_t to, int64_t experts) {
  plan::CollectiveT &call = collective(kind, groupSet, from, to);
  program().instructions.back()->reads.push_back(indices);
  call.experts = experts;
  return call;
}

void PlanMaker::send(int32_t distance, uint32_t tag, uint32_t buffer) {
  plan::SendT call;
  call.distance = distance;
  call.tag = tag;
  add(call, {buffer}, {});
}

void PlanMaker::recv(int32_t distance, uint32_t tag, uint32_t buffer) {
  plan::RecvT call;
  call.distance = distance;
  call.tag = tag;
  add(call, {}, {buffer});
}

uint32_t PlanMaker::transfer(std::vector<int64_t> shape, const std::vector<plan::PieceT> &pieces) {
  auto made = std::make_unique<plan::TransferT>();
  made->shape = std::move(shape);
  for (const plan::PieceT &piece : pieces)
    made->pieces.push_back(std::make_unique<plan::PieceT>(piece));
  plan.transfers.push_back(std::move(made));
  return plan.transfers.size() - 1;
}

void PlanMaker::sendBy(uint32_t transfer, uint32_t tag, uint32_t buffer) {
  send(0, tag, buffer);
  program().instructions.back()->op.AsSend()->transfer = static_cast<int32_t>(transfer);
}

void PlanMaker::recvBy(uint32_t transfer, uint32_t tag, uint32_t buffer) {
  recv(0, tag, buffer);
  program().instructions.back()->op.AsRecv()->transfer = static_cast<int32_t>(transfer);
}

void PlanMaker::port(std::vector<std::unique_ptr<plan::PortT>> &ports, const std::string &name,
                     std::vector<int32_t> buffers) {
  auto ranks = static_cast<int64_t>(plan.ranks.size());
  if (buffers.size() == 1)
    buffers.resize(ranks, buffers[0]);
  auto made = std::make_unique<plan::PortT>();
  made->name = name;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    if (buffers[rank] < 0) {
      made->boxes.push_back(std::make_unique<plan::BoxT>());
      continue;
    }
    const plan::BufferT &buffer = *plan.programs[plan.ranks[rank]->program]->buffers[buffers[rank]];
    made->dtype = buffer.dtype;
    made->shape = buffer.shape;
    made->boxes.push_back(std::make_unique<plan::BoxT>());
    made->boxes.back()->start.assign(buffer.shape.size(), 0);
    made->boxes.back()->start[0] = rank;
    made->boxes.back()->size = buffer.shape;
  }
  made->shape[0] = ranks;
  made->buffers = std::move(buffers);
  ports.push_back(std::move(made));
}

std::string PlanMaker::write(const std::string &name) {
  std::string folder = testFolder();
  plan.elf = readAll(MPOPT_TEST_KERNELS);
  if (!weightBytes.empty()) {
    std::ofstream(folder + "/weights.bin", std::ios::binary)
        .write(reinterpret_cast<const char *>(weightBytes.data()), static_cast<std::streamsize>(weightBytes.size()));
    XXH128_hash_t hash = XXH3_128bits(weightBytes.data(), weightBytes.size());
    plan.weights_file = "weights.bin";
    plan.weights_bytes = weightBytes.size();
    plan.weights_hash_low = hash.low64;
    plan.weights_hash_high = hash.high64;
  }
  std::string path = folder + "/" + name + ".mpplan";
  Status status = writePlan(path, plan);
  EXPECT_TRUE(status) << status.error().message;
  return path;
}

namespace {
/// Removes the test's folders when the program ends; not in ranks, which leave by _exit.
struct Folders {
  std::vector<std::string> made;
  ~Folders() {
    std::error_code ignored;
    for (const std::string &folder : made)
      std::filesystem::remove_all(folder, ignored);
  }
};
Folders folders;
} // namespace

std::string testFolder() {
  const auto *info = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string(info->test_suite_name()) + "." + info->name();
  std::ranges::replace(name, '/', '_');
  std::string folder = testing::TempDir() + "mpopt-" + name + "-" + std::to_string(getpid());
  if (std::filesystem::create_directories(folder))
    folders.made.push_back(folder);
  return folder;
}

Tensor makeTensor(plan::DType dtype, std::vector<int64_t> shape, const std::vector<double> &values) {
  Tensor tensor{dtype, std::move(shape), {}};
  if (dtype == plan::DType::bf16) { // whole numbers of few digits: the upper half of a float
    std::vector<std::byte> wide;
    encode<float>(wide, values);
    for (size_t i = 0; i < wide.size(); i += 4)
      tensor.data.insert(tensor.data.end(), {wide[i + 2], wide[i + 3]});
    return tensor;
  }
  dispatch(dtype, [&](auto zero) { encode<decltype(zero)>(tensor.data, values); });
  return tensor;
}

std::vector<double> valuesOf(const Tensor &tensor) {
  if (tensor.dtype == plan::DType::bf16) {
    std::vector<std::byte> wide(tensor.data.size() * 2);
    for (size_t i = 0; i < tensor.data.size(); i += 2) {
      wide[2 * i + 2] = tensor.data[i];
      wide[2 * i + 3] = tensor.data[i + 1];
    }
    return decode<float>(wide);
  }
  return dispatch(tensor.dtype, [&](auto zero) { return decode<decltype(zero)>(tensor.data); });
}

Result<std::vector<Tensor>> runPlan(const std::string &path, const std::vector<Tensor> &inputs, bool processes,
                                    uint64_t steps, double timeoutSeconds) {
  auto plan = LoadedPlan::open(path);
  if (!plan)
    return tl::unexpected(plan.error());
  auto session = Session::create(*plan, {processes, steps, timeoutSeconds, false});
  if (!session)
    return tl::unexpected(session.error());
  for (size_t i = 0; i < inputs.size(); ++i)
    if (Status status = session->setInput(i, inputs[i]); !status)
      return tl::unexpected(status.error());
  if (Status status = session->run(); !status)
    return tl::unexpected(status.error());
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < items(plan->plan().outputs()).size(); ++i)
    outputs.push_back(session->output(i));
  return outputs;
}

} // namespace mpopt::runtime
