#include "Lives.h"
#include "llvm/ADT/TypeSwitch.h"
#include <map>

using namespace mlir;

namespace mpopt {

int64_t bytesOf(Value buffer) {
  RankedTensorType type = cast<rt::BufferType>(buffer.getType()).getTensor();
  return type.getNumElements() * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
}

std::optional<Region> regionOf(Value buffer) {
  auto op = buffer.getDefiningOp<rt::BufferOp>();
  if (!op || op.getSpace() != rt::Space::Work)
    return std::nullopt;
  auto begin = static_cast<int64_t>(op.getOffset());
  return Region{begin, begin + bytesOf(buffer)};
}

ValueRange readsOf(Operation *instruction) {
  return llvm::TypeSwitch<Operation *, ValueRange>(instruction)
      .Case<rt::KernelOp, rt::CollectiveOp, rt::CopyOp, rt::SendOp, rt::RecvOp>([](auto op) { return op.getReads(); })
      .Default(ValueRange());
}

ValueRange writesOf(Operation *instruction) {
  return llvm::TypeSwitch<Operation *, ValueRange>(instruction)
      .Case<rt::KernelOp, rt::CollectiveOp, rt::CopyOp, rt::SendOp, rt::RecvOp>([](auto op) { return op.getWrites(); })
      .Default(ValueRange());
}

std::vector<Operation *> stepInstructions(rt::ProgramOp program) {
  std::vector<Operation *> instructions;
  for (Operation &op : program.getBody().front())
    if (isa<rt::KernelOp, rt::CollectiveOp, rt::CopyOp, rt::SendOp, rt::RecvOp>(op) && !op.hasAttr("init"))
      instructions.push_back(&op);
  return instructions;
}

namespace {

/// A value in the arena, from the instruction that writes it to the last that reads it.
struct Life {
  Region region;
  size_t first = 0, last = 0;
};

/// Views of a value have buffers of their own at its offset, so lives go by what lies where.
class LifeFinder {
public:
  std::vector<Life> run(rt::ProgramOp program, ArrayRef<Operation *> instructions) {
    auto ports = llvm::to_vector(program.getBody().getOps<rt::PortOp>());
    for (rt::PortOp port : ports)
      if (!port.getOutput()) {
        write(port.getBuffer(), 0);
        read(port.getBuffer(), instructions.size());
      }
    for (auto [time, op] : llvm::enumerate(instructions)) {
      for (Value buffer : readsOf(op))
        read(buffer, time);
      for (Value buffer : writesOf(op))
        write(buffer, time);
    }
    for (rt::PortOp port : ports)
      if (port.getOutput())
        read(port.getBuffer(), instructions.size());
    return std::move(lives);
  }

private:
  void write(Value buffer, size_t time) {
    if (std::optional<Region> region = regionOf(buffer)) {
      current[region->begin] = lives.size();
      lives.push_back({*region, time, time});
    }
  }
  void read(Value buffer, size_t time) {
    if (std::optional<Region> region = regionOf(buffer))
      if (auto it = current.find(region->begin); it != current.end())
        lives[it->second].last = time;
  }

  std::map<int64_t, size_t> current; // by offset: the latest value there
  std::vector<Life> lives;
};

/// Bytes that some region lies on.
int64_t covered(std::vector<Region> regions) {
  llvm::sort(regions, [](const Region &a, const Region &b) { return a.begin < b.begin; });
  int64_t sum = 0, reached = 0;
  for (const Region &region : regions) {
    sum += std::max<int64_t>(0, region.end - std::max(region.begin, reached));
    reached = std::max(reached, region.end);
  }
  return sum;
}

} // namespace

std::vector<int64_t> liveBytesOf(rt::ProgramOp program, ArrayRef<Operation *> instructions) {
  std::vector<Life> lives = LifeFinder().run(program, instructions), alive;
  std::vector<int64_t> result;
  auto next = lives.begin(); // lives begin in the order of instructions
  for (size_t time = 0; time < instructions.size(); ++time) {
    llvm::erase_if(alive, [&](const Life &life) { return life.last < time; });
    for (; next != lives.end() && next->first <= time; ++next)
      alive.push_back(*next);
    std::vector<Region> regions;
    for (const Life &life : alive)
      regions.push_back(life.region);
    result.push_back(covered(std::move(regions)));
  }
  return result;
}

} // namespace mpopt
