#include "Timeline.h"
#include "Lives.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include <map>

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

machine::Mesh meshOf(rt::ProgramOp program) {
  machine::Mesh mesh;
  for (shd::MeshAxisAttr axis : shd::getMesh(program).getMesh().getAxes())
    mesh.axes.push_back({axis.getName().str(), axis.getSize(), static_cast<int>(axis.getLevel())});
  return mesh;
}

namespace {

void namesOf(Location loc, llvm::StringSet<> &names) {
  if (auto name = dyn_cast<NameLoc>(loc))
    names.insert(name.getName());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      namesOf(part, names);
}

/// Sorted: sums must not depend on the order of a hash.
std::vector<std::string> namesOf(Location loc) {
  llvm::StringSet<> names;
  namesOf(loc, names);
  std::vector<std::string> sorted;
  for (const auto &name : names)
    sorted.push_back(name.getKey().str());
  llvm::sort(sorted);
  return sorted;
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
  case rt::CollectiveKind::Dispatch:
  case rt::CollectiveKind::Combine:
    return cost::Collective::AllToAll;
  }
  llvm_unreachable("all kinds are listed");
}

/// What single instructions of one program take.
class InstructionPrices {
public:
  /// `ops`: what was decided for the operators of the program, or of all programs.
  InstructionPrices(const machine::Machine &machine, machine::Mesh mesh, ArrayRef<Operation *> instructions,
                    ArrayRef<planning::OpReport> ops, int64_t microbatches)
      : machine(machine), mesh(std::move(mesh)) {
    shareCompute(instructions, ops, microbatches);
  }

  void priceKernel(Operation *op, TimelineEvent &event) const {
    event.kind = "compute";
    for (const std::string &name : namesOf(op->getLoc())) {
      Compute part = compute.lookup(name);
      event.seconds += part.seconds;
      event.arithmeticSeconds += part.arithmetic;
      event.trafficSeconds += part.traffic;
      event.launchSeconds += part.launch;
    }
  }

  void priceCollective(rt::CollectiveOp op, TimelineEvent &event) const {
    event.kind = rt::stringifyCollectiveKind(op.getKind()).str();
    event.bytes = bytesOf(op.getReads()[0]);
    double passed = static_cast<double>(event.bytes);
    if (op.getKind() == rt::CollectiveKind::Halo)
      passed = static_cast<double>(bytesOf(op.getWrites()[0]) - event.bytes) / 2;
    if (std::optional<int64_t> routed = routedBytes(op))
      passed = static_cast<double>(event.bytes = *routed);
    SmallVector<int> axes;
    for (auto name : op.getAxes().getAsRange<StringAttr>())
      for (auto [index, axis] : llvm::enumerate(mesh.axes))
        if (axis.name == name.getValue())
          axes.push_back(static_cast<int>(index));
    event.traffic = cost::collectiveTraffic(machine, mesh, axes, collectiveOf(op.getKind()), passed);
    for (const cost::LevelTraffic &part : event.traffic)
      event.seconds += part.seconds;
  }

private:
  struct Compute {
    double seconds = 0, arithmetic = 0, traffic = 0, launch = 0;
  };

  /// What the operators of one node take is shared out among the kernels that have a part of it, in each microbatch.
  void shareCompute(ArrayRef<Operation *> instructions, ArrayRef<planning::OpReport> ops, int64_t microbatches) {
    llvm::StringMap<int64_t> kernels;
    for (Operation *op : instructions)
      if (isa<rt::KernelOp>(op))
        for (const std::string &name : namesOf(op->getLoc()))
          ++kernels[name];
    for (const planning::OpReport &op : ops)
      if (int64_t count = kernels.lookup(op.node)) {
        double share = static_cast<double>(std::min(microbatches, count)) / static_cast<double>(count);
        Compute &sum = compute[op.node];
        sum.seconds += share * op.computeSeconds;
        sum.arithmetic += share * op.arithmeticSeconds;
        sum.traffic += share * op.trafficSeconds;
        sum.launch += share * op.launchSeconds;
      }
  }

  const machine::Machine &machine;
  machine::Mesh mesh;
  llvm::StringMap<Compute> compute; // per node, for each kernel that has a part of it
};

/// The link between two devices: the innermost that joins them.
class Links {
public:
  Links(const machine::Machine &machine, int64_t devices) : machine(machine) {
    for (const machine::Link &link : machine.links)
      members.push_back(link.count);
    if (auto mesh = machine::makeMesh(machine, devices)) {
      members.assign(machine.links.size(), 1);
      for (const machine::MeshAxis &axis : mesh->axes)
        members[axis.level] *= axis.size;
    }
  }

  cost::LevelTraffic message(int64_t from, int64_t to, int64_t bytes) const {
    int level = 0;
    for (int64_t reach = 1; level + 1 < static_cast<int>(members.size()); ++level)
      if (reach *= members[level]; from / reach == to / reach)
        break;
    const machine::Link &link = machine.links[level];
    double size = static_cast<double>(bytes);
    return {level, size, bytes ? link.latencySeconds + size / link.bandwidth : 0};
  }

private:
  const machine::Machine &machine;
  SmallVector<int64_t> members; // per level: devices, or groups of the level below
};

/// A message between two stages: the sender's number, the receiver's, the tag.
using Channel = std::tuple<int64_t, int64_t, int64_t>;

/// A stage while its instructions are gone through.
struct Run {
  Lane lane;
  std::vector<Operation *> instructions;
  std::optional<InstructionPrices> prices;
  size_t next = 0;
  double clock = 0;
  struct Sent {
    Channel channel;
    Region payload;
  };
  std::vector<Sent> open; // payloads that nothing has overwritten yet
};

class TimelineMaker {
public:
  TimelineMaker(ModuleOp module, ArrayRef<machine::Machine> machines, const machine::Machine &machine, int64_t devices,
                const planning::PlanReport &report)
      : links(machine, devices) {
    int64_t rank = 0;
    for (auto [program, own] : llvm::zip_equal(module.getOps<rt::ProgramOp>(), machines)) {
      Run &run = runs.emplace_back();
      machine::Mesh mesh = meshOf(program);
      run.lane.stage = static_cast<int64_t>(runs.size()) - 1;
      run.lane.firstRank = rank;
      run.lane.ranks = mesh.devices();
      rank += mesh.devices();
      run.instructions = stepInstructions(program);
      run.prices.emplace(own, std::move(mesh), run.instructions, opsOf(run.lane.stage, report), report.microbatches);
      programs.push_back(program);
    }
  }

  Timeline run() {
    for (bool moves = true; moves;) {
      moves = false;
      for (Run &run : runs)
        while (run.next < run.instructions.size() && step(run, run.instructions[run.next])) {
          ++run.next;
          moves = true;
        }
    }
    Timeline timeline;
    for (auto [run, program] : llvm::zip_equal(runs, programs)) {
      std::vector<int64_t> live = liveBytesOf(program, run.instructions);
      for (size_t i = 0; i < run.lane.events.size(); ++i)
        run.lane.events[i].liveBytes = live[i];
      timeline.seconds = std::max(timeline.seconds, run.clock);
      timeline.lanes.push_back(std::move(run.lane));
    }
    return timeline;
  }

private:
  /// The operators of a stage. Stages that were laid out one by one each list what they repeat of others; else an operator that several stages compute
  /// is listed once, and belongs to none.
  static ArrayRef<planning::OpReport> opsOf(int64_t stage, const planning::PlanReport &report) {
    size_t sum = 0, first = 0;
    for (auto [number, each] : llvm::enumerate(report.stages)) {
      sum += each.operators;
      if (static_cast<int64_t>(number) < stage)
        first += each.operators;
    }
    if (sum != report.ops.size())
      return report.ops;
    return ArrayRef(report.ops).slice(first, report.stages[stage].operators);
  }

  /// Runs an instruction, if what it waits for has happened.
  bool step(Run &run, Operation *op) {
    std::optional<double> start = startOf(run, op);
    if (!start)
      return false;
    TimelineEvent event;
    event.start = *start;
    event.node = nodeNameOf(op->getLoc());
    if (auto microbatch = op->getAttrOfType<IntegerAttr>(shd::kMicrobatchAttr))
      event.microbatch = microbatch.getInt();
    if (auto collective = dyn_cast<rt::CollectiveOp>(op))
      run.prices->priceCollective(collective, event);
    else if (isa<rt::SendOp, rt::RecvOp>(op))
      priceMessage(run, op, event);
    else
      run.prices->priceKernel(op, event);
    run.clock = *start + event.seconds;
    run.lane.busySeconds += event.seconds;
    note(run, op);
    run.lane.events.push_back(std::move(event));
    return true;
  }

  static std::optional<Channel> channelOf(const Run &run, Operation *op) {
    if (auto send = dyn_cast<rt::SendOp>(op))
      return Channel{run.lane.stage, run.lane.stage + static_cast<int64_t>(send.getDistance()), send.getTag()};
    if (auto recv = dyn_cast<rt::RecvOp>(op))
      return Channel{run.lane.stage - static_cast<int64_t>(recv.getDistance()), run.lane.stage, recv.getTag()};
    return std::nullopt;
  }

  /// When an instruction can start; nothing where that is not known yet.
  std::optional<double> startOf(const Run &run, Operation *op) const {
    double start = run.clock;
    if (isa<rt::RecvOp>(op)) {
      auto it = sent.find(*channelOf(run, op));
      if (it == sent.end())
        return std::nullopt;
      start = std::max(start, it->second);
    }
    for (const Run::Sent &open : run.open)
      if (overwrites(op, open.payload)) {
        auto it = taken.find(open.channel);
        if (it == taken.end())
          return std::nullopt;
        start = std::max(start, it->second);
      }
    return start;
  }

  static bool overwrites(Operation *op, const Region &payload) {
    return llvm::any_of(writesOf(op), [&](Value buffer) {
      std::optional<Region> region = regionOf(buffer);
      return region && region->overlaps(payload);
    });
  }

  void priceMessage(const Run &run, Operation *op, TimelineEvent &event) const {
    auto [from, to, tag] = *channelOf(run, op);
    bool sends = isa<rt::SendOp>(op);
    event.kind = sends ? "send" : "receive";
    event.bytes = bytesOf(sends ? readsOf(op)[0] : writesOf(op)[0]);
    cost::LevelTraffic way = links.message(runs[from].lane.firstRank, runs[to].lane.firstRank, event.bytes);
    (sends ? way.seconds : way.bytes) = 0;
    event.seconds = way.seconds;
    event.traffic.push_back(way);
  }

  void note(Run &run, Operation *op) {
    llvm::erase_if(run.open, [&](const Run::Sent &open) { return overwrites(op, open.payload); });
    if (isa<rt::SendOp>(op)) {
      sent[*channelOf(run, op)] = run.clock;
      if (std::optional<Region> payload = regionOf(readsOf(op)[0]))
        run.open.push_back({*channelOf(run, op), *payload});
    } else if (isa<rt::RecvOp>(op)) {
      taken[*channelOf(run, op)] = run.clock;
    }
  }

  Links links;
  std::vector<Run> runs;
  std::vector<rt::ProgramOp> programs;
  std::map<Channel, double> sent, taken;
};

} // namespace

std::optional<int64_t> routedBytes(rt::CollectiveOp op) {
  if (op.getKind() != rt::CollectiveKind::Dispatch && op.getKind() != rt::CollectiveKind::Combine)
    return std::nullopt;
  int64_t from = bytesOf(op.getReads()[0]), to = bytesOf(op.getWrites()[0]), whole = std::max(from, to);
  auto local = static_cast<int64_t>(op.getExperts()), devices = whole / std::max<int64_t>(1, std::min(from, to));
  int64_t chosen = cast<rt::BufferType>(op.getReads()[1].getType()).getTensor().getDimSize(1);
  return std::llround(static_cast<double>(whole) * coll::getRoutedShare(devices * local, local, chosen));
}

Timeline makeTimeline(ModuleOp program, ArrayRef<machine::Machine> machines, const machine::Machine &machine,
                      int64_t devices, const planning::PlanReport &report) {
  return TimelineMaker(program, machines, machine, devices, report).run();
}

} // namespace mpopt
