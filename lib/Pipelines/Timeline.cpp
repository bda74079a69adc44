#include "Timeline.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace mpopt {

std::string nodeNameOf(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string name = nodeNameOf(part); !name.empty())
        return name;
  return "";
}

namespace {

void namesOf(Location loc, llvm::StringSet<> &names) {
  if (auto name = dyn_cast<NameLoc>(loc))
    names.insert(name.getName());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      namesOf(part, names);
}

int64_t bytesOf(Value buffer) {
  RankedTensorType type = cast<rt::BufferType>(buffer.getType()).getTensor();
  return type.getNumElements() * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
}

cost::Collective collectiveOf(rt::CollectiveKind kind) {
  switch (kind) {
  case rt::CollectiveKind::AllReduce:
    return cost::Collective::AllReduce;
  case rt::CollectiveKind::AllGather:
    return cost::Collective::AllGather;
  case rt::CollectiveKind::ReduceScatter:
    return cost::Collective::ReduceScatter;
  case rt::CollectiveKind::AllToAll:
    return cost::Collective::AllToAll;
  case rt::CollectiveKind::Permute:
    return cost::Collective::Permute;
  case rt::CollectiveKind::Halo:
    return cost::Collective::Halo;
  }
  llvm_unreachable("all kinds are listed");
}

class TimelineMaker {
public:
  TimelineMaker(rt::ProgramOp program, const machine::Machine &machine, const machine::Mesh &mesh,
                const planning::PlanReport &report)
      : machine(machine), mesh(mesh) {
    for (Operation &op : program.getBody().front())
      if ((isa<rt::KernelOp, rt::CollectiveOp, rt::CopyOp>(op)) && !op.hasAttr("init"))
        instructions.push_back(&op);
    for (rt::PortOp port : program.getBody().getOps<rt::PortOp>())
      ports.push_back(port);
    shareCompute(report);
  }

  Timeline run() {
    for (size_t level = 0; level < machine.links.size(); ++level)
      timeline.links.push_back({static_cast<int>(level), 0, 0});
    for (Operation *op : instructions)
      add(op);
    addMemory();
    return std::move(timeline);
  }

private:
  /// What the operators of one node take is shared out among the kernels that have a part of it.
  void shareCompute(const planning::PlanReport &report) {
    llvm::StringMap<int64_t> kernels;
    for (Operation *op : instructions)
      if (isa<rt::KernelOp>(op)) {
        llvm::StringSet<> names;
        namesOf(op->getLoc(), names);
        for (const auto &name : names)
          ++kernels[name.getKey()];
      }
    for (const planning::OpReport &op : report.ops)
      if (int64_t count = kernels.lookup(op.node))
        compute[op.node] += op.computeSeconds / static_cast<double>(count);
  }

  void add(Operation *op) {
    TimelineEvent event;
    event.start = timeline.seconds;
    event.node = nodeNameOf(op->getLoc());
    if (auto collective = dyn_cast<rt::CollectiveOp>(op)) {
      addTraffic(collective, event);
    } else {
      event.kind = "compute";
      std::vector<std::string> sorted; // sums must not depend on the order of a hash
      llvm::StringSet<> names;
      namesOf(op->getLoc(), names);
      for (const auto &name : names)
        sorted.push_back(name.getKey().str());
      llvm::sort(sorted);
      for (const std::string &name : sorted)
        event.seconds += compute.lookup(name);
    }
    timeline.seconds += event.seconds;
    timeline.events.push_back(std::move(event));
  }

  void addTraffic(rt::CollectiveOp op, TimelineEvent &event) {
    event.kind = rt::stringifyCollectiveKind(op.getKind()).str();
    event.bytes = bytesOf(op.getReads()[0]);
    double passed = static_cast<double>(event.bytes);
    if (op.getKind() == rt::CollectiveKind::Halo)
      passed = static_cast<double>(bytesOf(op.getWrites()[0]) - event.bytes) / 2;
    SmallVector<int> axes;
    for (auto name : op.getAxes().getAsRange<StringAttr>())
      for (auto [index, axis] : llvm::enumerate(mesh.axes))
        if (axis.name == name.getValue())
          axes.push_back(static_cast<int>(index));
    event.traffic = cost::collectiveTraffic(machine, mesh, axes, collectiveOf(op.getKind()), passed);
    for (const cost::LevelTraffic &part : event.traffic) {
      event.seconds += part.seconds;
      timeline.links[part.level].bytes += part.bytes;
      timeline.links[part.level].seconds += part.seconds;
    }
  }

  /// A value in the arena, from the instruction that writes it to the last that reads it.
  struct Life {
    int64_t offset = 0, bytes = 0, first = 0, last = 0;
  };

  /// Views of a value have buffers of their own at its offset, so lives go by what lies where.
  void addMemory() {
    std::map<int64_t, size_t> current; // by offset: the latest value there
    std::vector<Life> lives;
    auto write = [&](Value buffer, int64_t time) {
      auto op = buffer.getDefiningOp<rt::BufferOp>();
      if (!op || op.getSpace() != rt::Space::Work)
        return;
      current[op.getOffset()] = lives.size();
      lives.push_back({static_cast<int64_t>(op.getOffset()), bytesOf(buffer), time, time});
    };
    auto read = [&](Value buffer, int64_t time) {
      auto op = buffer.getDefiningOp<rt::BufferOp>();
      if (!op || op.getSpace() != rt::Space::Work)
        return;
      if (auto it = current.find(op.getOffset()); it != current.end())
        lives[it->second].last = time;
    };
    auto end = static_cast<int64_t>(instructions.size());
    for (rt::PortOp port : ports)
      if (!port.getOutput()) {
        write(port.getBuffer(), 0);
        read(port.getBuffer(), end);
      }
    for (auto [time, op] : llvm::enumerate(instructions)) {
      auto [reads, writes] = operandsOf(op);
      for (Value buffer : reads)
        read(buffer, static_cast<int64_t>(time));
      for (Value buffer : writes)
        write(buffer, static_cast<int64_t>(time));
    }
    for (rt::PortOp port : ports)
      if (port.getOutput())
        read(port.getBuffer(), end);
    for (auto [time, event] : llvm::enumerate(timeline.events))
      event.liveBytes = covered(lives, static_cast<int64_t>(time));
  }

  static std::pair<ValueRange, ValueRange> operandsOf(Operation *op) {
    if (auto kernel = dyn_cast<rt::KernelOp>(op))
      return {kernel.getReads(), kernel.getWrites()};
    if (auto collective = dyn_cast<rt::CollectiveOp>(op))
      return {collective.getReads(), collective.getWrites()};
    auto copy = cast<rt::CopyOp>(op);
    return {copy.getReads(), copy.getWrites()};
  }

  /// Bytes of the arena that some value lies on.
  static int64_t covered(ArrayRef<Life> lives, int64_t time) {
    std::vector<std::pair<int64_t, int64_t>> parts;
    for (const Life &life : lives)
      if (life.first <= time && time <= life.last)
        parts.emplace_back(life.offset, life.offset + life.bytes);
    llvm::sort(parts);
    int64_t sum = 0, reached = 0;
    for (auto [begin, end] : parts) {
      sum += std::max<int64_t>(0, end - std::max(begin, reached));
      reached = std::max(reached, end);
    }
    return sum;
  }

  const machine::Machine &machine;
  const machine::Mesh &mesh;
  SmallVector<Operation *> instructions;
  SmallVector<rt::PortOp> ports;
  llvm::StringMap<double> compute; // per node, for each kernel that has a part of it
  Timeline timeline;
};

} // namespace

Timeline makeTimeline(rt::ProgramOp program, const machine::Machine &machine, const machine::Mesh &mesh,
                      const planning::PlanReport &report) {
  return TimelineMaker(program, machine, mesh, report).run();
}

} // namespace mpopt
