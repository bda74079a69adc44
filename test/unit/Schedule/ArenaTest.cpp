// Arenas of real models are nearly as small as what lives at once in them.
#include "ModelFile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Pipelines/Compile.h"
#include "mpopt/Schedule/MemoryPlan.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt;

namespace {

struct Case {
  const char *model;
  std::vector<std::string> dims;
};

void PrintTo(const Case &value, std::ostream *os) { *os << value.model; }

class Arena : public testing::TestWithParam<Case> {};

int64_t bytesOf(rt::BufferOp buffer) {
  RankedTensorType type = cast<rt::BufferType>(buffer.getType()).getTensor();
  return type.getNumElements() * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
}

/// The most bytes of the arena that hold something that is still to be read, over all instructions of the step. Buffers at one offset whose
/// lives meet are one: views, and reductions in place.
int64_t liveBytes(rt::ProgramOp program) {
  DenseMap<Value, schedule::LiveBuffer> lives;
  int64_t time = 0;
  auto touch = [&](Value value, int64_t when) {
    auto buffer = value.getDefiningOp<rt::BufferOp>();
    if (!buffer || buffer.getSpace() != rt::Space::Work)
      return;
    auto [it, isNew] = lives.try_emplace(value, schedule::LiveBuffer{bytesOf(buffer), when, when, 0});
    it->second.first = std::min(it->second.first, when);
    it->second.last = std::max(it->second.last, when);
  };
  SmallVector<Operation *> instructions;
  for (Operation &op : program.getBody().front())
    if (!isa<rt::BufferOp, rt::PortOp>(op) && !op.hasAttr("init"))
      instructions.push_back(&op);
  for (Operation *op : instructions) {
    for (Value operand : op->getOperands())
      touch(operand, time);
    ++time;
  }
  for (auto port : program.getBody().front().getOps<rt::PortOp>()) {
    touch(port.getBuffer(), time);
    if (!port.getOutput())
      touch(port.getBuffer(), 0);
  }
  std::vector<schedule::LiveBuffer> all;
  std::map<uint64_t, std::vector<schedule::LiveBuffer>> byOffset;
  for (auto &[value, life] : lives)
    byOffset[value.getDefiningOp<rt::BufferOp>().getOffset()].push_back(life);
  for (auto &[offset, group] : byOffset) {
    llvm::sort(group, [](const auto &a, const auto &b) {
      return std::tuple(a.first, a.last, a.bytes) < std::tuple(b.first, b.last, b.bytes);
    });
    for (const schedule::LiveBuffer &life : group) {
      bool meets = !all.empty() && all.back().offset == static_cast<int64_t>(offset) && life.first <= all.back().last;
      if (!meets) {
        all.push_back(life);
        all.back().offset = offset;
        continue;
      }
      all.back().last = std::max(all.back().last, life.last);
      all.back().bytes = std::max(all.back().bytes, life.bytes);
    }
  }
  return schedule::livenessBound(all);
}

TEST_P(Arena, IsNearlyWhatLivesAtOnce) {
  ModelFile file(MPOPT_TEST_MODELS, GetParam().model);
  machine::Machine machine = *machine::load(MPOPT_TEST_MACHINE);
  for (int64_t devices : {1, 2}) {
    DialectRegistry registry;
    registerAll(registry);
    MLIRContext context(registry, MLIRContext::Threading::DISABLED);
    CompileOptions options;
    options.model = file.path.string();
    options.dims = GetParam().dims;
    options.plan.machine = &machine;
    options.plan.devices = devices;
    options.target = codegen::CpuTarget::native();
    options.until = Stage::RT;
    auto compiled = compile(context, options);
    ASSERT_TRUE(succeeded(compiled));
    auto program = *compiled->module->getBody()->getOps<rt::ProgramOp>().begin();
    int64_t bound = liveBytes(program), arena = program.getWorkBytes();
    EXPECT_GE(arena, bound);
    EXPECT_LE(arena, 1.1 * bound) << devices << " devices";
    RecordProperty("arena_over_bound_" + std::to_string(devices), std::to_string(double(arena) / bound));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, Arena,
    testing::Values(Case{"bert-base.dynamo18", {"input_ids=2x128", "attention_mask=2x128", "token_type_ids=2x128"}},
                    Case{"gpt2.legacy13", {"input_ids=2x64", "attention_mask=2x64"}}, Case{"t5-small.dynamo18", {}},
                    Case{"mixtral-small.dynamo20", {"input_ids=2x64", "attention_mask=2x64"}},
                    Case{"resnet50.dynamo18", {"input=2x3x224x224"}},
                    Case{"mobilenet-v3-large.dynamo18", {"input=2x3x224x224"}}));

} // namespace
