#include "Details.h"
#include "Timeline.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Emit/Emit.h"
#include <map>
#include <set>

using namespace mlir;
namespace json = llvm::json;

namespace mpopt {
namespace {

json::Array axesOf(ArrayRef<StringAttr> axes) {
  json::Array list;
  for (StringAttr axis : axes)
    list.push_back(axis.getValue());
  return list;
}

std::string elementText(Type element) {
  std::string text;
  llvm::raw_string_ostream(text) << element;
  return text;
}

/// {"shape", "type", "sharding": axes per dimension, "partial", "local_shape", "local_bytes"}.
json::Object tensorText(RankedTensorType type, shd::ShardingAttr sharding, shd::MeshAttr mesh) {
  json::Array shape, dims, local;
  int64_t elements = 1;
  for (int64_t size : type.getShape())
    shape.push_back(size);
  for (shd::DimShardingAttr dim : sharding.getDims())
    dims.push_back(axesOf(dim.getAxes()));
  for (int64_t size : sharding.getLocalShape(type.getShape(), mesh)) {
    local.push_back(size);
    elements *= size;
  }
  return json::Object{{"shape", std::move(shape)},
                      {"type", elementText(type.getElementType())},
                      {"sharding", std::move(dims)},
                      {"partial", axesOf(sharding.getUnreduced())},
                      {"local_shape", std::move(local)},
                      {"local_bytes", elements * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8)}};
}

class TensorLister {
public:
  explicit TensorLister(ModuleOp planned) : functions(planning::getPlannedFunctions(planned)) {}

  void run(json::Object &account) {
    for (func::FuncOp function : functions)
      add(function);
    account["inputs"] = std::move(inputs);
    account["outputs"] = std::move(outputs);
    account["tensors"] = std::move(tensors);
    account["weights"] = std::move(weights);
  }

private:
  void add(func::FuncOp main) {
    mesh = shd::getMesh(main).getMesh();
    auto marked = main->getAttrOfType<IntegerAttr>(shd::kStageAttr);
    stage = marked ? std::optional(marked.getInt()) : std::nullopt;
    for (BlockArgument argument : main.getArguments())
      addPort(inputs, argument.getType(), main.getArgAttrDict(argument.getArgNumber()));
    for (auto [index, type] : llvm::enumerate(main.getResultTypes()))
      addPort(outputs, type, main.getResultAttrDict(index));
    for (Operation &op : main.getBody().front().without_terminator())
      if (!isa<coll::CollDialect>(op.getDialect()) &&
          !llvm::all_of(op.getResults(), [](Value result) { return nn::isInitTime(result); }))
        addOperator(&op);
  }

  /// With the stage whose mesh it is, where each stage has its own.
  json::Object textOf(Type type, shd::ShardingAttr sharding) const {
    json::Object text = tensorText(cast<RankedTensorType>(type), sharding, mesh);
    if (stage)
      text["stage"] = *stage;
    return text;
  }

  void addPort(json::Array &list, Type type, DictionaryAttr attrs) {
    auto name = attrs ? attrs.getAs<StringAttr>("nn.name") : StringAttr();
    auto sharding = attrs ? attrs.getAs<shd::ShardingAttr>(shd::kShardingAttr) : shd::ShardingAttr();
    if (!sharding)
      return;
    json::Object text = textOf(type, sharding);
    text["name"] = name ? name.getValue() : "";
    list.push_back(std::move(text));
  }

  /// One entry per result, numbered like PlanReport::ops; and the weights that the operator reads.
  void addOperator(Operation *op) {
    auto shardings = [&](StringRef name) {
      return llvm::to_vector(op->getAttrOfType<ArrayAttr>(name).getAsRange<shd::ShardingAttr>());
    };
    for (auto [result, sharding] : llvm::zip_equal(op->getResults(), shardings(shd::kOutAttr))) {
      json::Object text = textOf(result.getType(), sharding);
      text["operator"] = number;
      text["op"] = op->getName().stripDialect();
      text["node"] = nodeNameOf(op->getLoc());
      tensors.push_back(std::move(text));
    }
    for (auto [operand, sharding] : llvm::zip_equal(op->getOperands(), shardings(shd::kInAttr)))
      if (auto weight = operand.getDefiningOp<nn::WeightOp>();
          weight && listed.insert({weight.getName().str(), sharding.getAsOpaquePointer()}).second) {
        json::Object text = textOf(operand.getType(), sharding);
        text["operator"] = number;
        text["name"] = weight.getName();
        weights.push_back(std::move(text));
      }
    ++number;
  }

  SmallVector<func::FuncOp> functions;
  shd::MeshAttr mesh; // of the function at hand
  std::optional<int64_t> stage;
  int64_t number = 0;
  json::Array inputs, outputs, tensors, weights;
  std::set<std::pair<std::string, const void *>> listed; // looked up only
};

json::Object eventText(const TimelineEvent &event, const std::map<std::string, std::pair<size_t, size_t>> &blockOf) {
  json::Object text{{"start", event.start}, {"seconds", event.seconds}, {"kind", event.kind}, {"node", event.node}};
  if (auto block = blockOf.find(event.node); block != blockOf.end()) {
    text["block"] = block->second.first;
    text["copy"] = block->second.second;
  }
  if (event.microbatch)
    text["microbatch"] = *event.microbatch;
  if (event.kind != "compute")
    text["bytes"] = event.bytes;
  return text;
}

/// The block of a node, and which of its copies.
std::map<std::string, std::pair<size_t, size_t>> blocksOf(const planning::PlanReport &report) {
  std::map<std::string, std::pair<size_t, size_t>> blockOf;
  for (auto [index, block] : llvm::enumerate(report.blocks))
    for (auto [place, node] : llvm::enumerate(block.nodes))
      blockOf.try_emplace(node, index, place * static_cast<size_t>(block.count) / block.nodes.size());
  return blockOf;
}

/// What each device of a lane holds and does.
json::Object laneText(const Lane &lane) {
  json::Object text{{"first_rank", lane.firstRank},
                    {"last_rank", lane.firstRank + lane.ranks - 1},
                    {"busy_seconds", lane.busySeconds}};
  text["stage"] = lane.stage;
  return text;
}

void addLanes(json::Object &account, const planning::PlanReport &report, const Timeline &timeline) {
  auto blockOf = blocksOf(report);
  json::Array lanes, memory;
  for (const Lane &lane : timeline.lanes) {
    json::Array events, times, bytes;
    for (const TimelineEvent &event : lane.events) {
      events.push_back(eventText(event, blockOf));
      times.push_back(event.start);
      bytes.push_back(event.liveBytes);
    }
    json::Object held = laneText(lane), done = laneText(lane);
    held.erase("busy_seconds");
    held["seconds"] = std::move(times);
    held["work_bytes"] = std::move(bytes);
    done["events"] = std::move(events);
    memory.push_back(std::move(held));
    lanes.push_back(std::move(done));
  }
  account["timeline"] = json::Object{{"seconds", timeline.seconds}, {"lanes", std::move(lanes)}};
  account["memory_over_time"] = json::Object{{"lanes", std::move(memory)}};
}

/// Traffic of one lane's devices by level.
std::vector<cost::LevelTraffic> trafficOf(const Lane &lane, size_t levels, bool messages) {
  std::vector<cost::LevelTraffic> sums(levels);
  for (const TimelineEvent &event : lane.events)
    if (bool isMessage = event.kind == "send" || event.kind == "receive"; isMessage == messages)
      for (const cost::LevelTraffic &part : event.traffic) {
        sums[part.level].bytes += part.bytes;
        sums[part.level].seconds += part.seconds;
      }
  return sums;
}

/// Bytes and seconds of each level of links: of a device on average, and of all together; messages between stages apart.
void addLinks(json::Object &account, const Timeline &timeline, const machine::Machine &machine) {
  struct Sum {
    double bytes = 0, seconds = 0, messageBytes = 0;
  };
  std::vector<Sum> sums(machine.links.size());
  double devices = 0;
  for (const Lane &lane : timeline.lanes) {
    auto ranks = static_cast<double>(lane.ranks);
    devices += ranks;
    auto collectives = trafficOf(lane, sums.size(), false), messages = trafficOf(lane, sums.size(), true);
    for (size_t level = 0; level < sums.size(); ++level) {
      sums[level].bytes += ranks * (collectives[level].bytes + messages[level].bytes);
      sums[level].seconds += ranks * (collectives[level].seconds + messages[level].seconds);
      sums[level].messageBytes += ranks * messages[level].bytes;
    }
  }
  json::Array links;
  for (auto [level, sum] : llvm::enumerate(sums)) {
    const machine::Link &link = machine.links[level];
    links.push_back(json::Object{{"level", level},
                                 {"name", link.name},
                                 {"bandwidth", link.bandwidth},
                                 {"latency_seconds", link.latencySeconds},
                                 {"bytes", sum.bytes / devices},
                                 {"seconds", sum.seconds / devices},
                                 {"total_bytes", sum.bytes},
                                 {"total_message_bytes", sum.messageBytes}});
  }
  account["links"] = std::move(links);
}

using Limits = std::vector<std::pair<std::string, double>>;

/// Without stages every operator counts, whatever kernel it went into.
Limits limitsOfOperators(const planning::PlanReport &report) {
  Limits limits = {{"arithmetic", 0}, {"memory bandwidth", 0}, {"kernel launches", 0}};
  auto passes = static_cast<double>(report.microbatches);
  for (const planning::OpReport &op : report.ops) {
    limits[0].second += passes * op.arithmeticSeconds;
    limits[1].second += passes * op.trafficSeconds;
    limits[2].second += passes * op.launchSeconds;
  }
  return limits;
}

Limits limitsOfLane(const Lane &lane) {
  Limits limits = {{"arithmetic", 0}, {"memory bandwidth", 0}, {"kernel launches", 0}};
  for (const TimelineEvent &event : lane.events) {
    limits[0].second += event.arithmeticSeconds;
    limits[1].second += event.trafficSeconds;
    limits[2].second += event.launchSeconds;
  }
  return limits;
}

/// Seconds by what they are spent on, and which of these is the most; in a pipeline those of the busiest stage, which waits for the others in
/// the rest of the step.
void addLimits(json::Object &account, const planning::PlanReport &report, const Timeline &timeline,
               const machine::Machine &machine, bool stepsOverlap) {
  const Lane &busiest =
      *llvm::max_element(timeline.lanes, [](const Lane &a, const Lane &b) { return a.busySeconds < b.busySeconds; });
  bool staged = timeline.lanes.size() > 1;
  Limits limits = staged ? limitsOfLane(busiest) : limitsOfOperators(report);
  auto collectives = trafficOf(busiest, machine.links.size(), false),
       messages = trafficOf(busiest, machine.links.size(), true);
  for (size_t level = 0; level < machine.links.size(); ++level)
    if (double seconds = collectives[level].seconds + messages[level].seconds; seconds > 0)
      limits.emplace_back(machine.links[level].name, seconds);
  if (double waits = timeline.seconds - busiest.busySeconds; staged && !stepsOverlap && waits > 0)
    limits.emplace_back("waiting for other stages", waits);
  json::Array list;
  const auto *most = &limits.front();
  for (const auto &limit : limits) {
    list.push_back(json::Object{{"name", limit.first}, {"seconds", limit.second}});
    if (limit.second > most->second)
      most = &limit;
  }
  account["limits"] = std::move(list);
  account["limited_by"] = most->first;
  if (staged)
    account["limits_of_stage"] = busiest.stage;
}

/// The decision whose next best costs the least more: the plan that comes second. Where there are microbatches its seconds are those of a pass.
void addRunnerUp(json::Object &account, const planning::PlanReport &report) {
  const planning::LayoutReport *least = nullptr;
  const planning::BlockReport *where = nullptr;
  for (const planning::BlockReport &block : report.blocks)
    for (const planning::LayoutReport &layout : block.layouts) {
      bool known =
          layout.runnerUpState == planning::RunnerUp::Exact || layout.runnerUpState == planning::RunnerUp::Found;
      if (known && (!least || layout.runnerUpSeconds < least->runnerUpSeconds)) {
        least = &layout;
        where = &block;
      }
    }
  if (!least)
    return;
  account["runner_up"] = json::Object{{"node", least->node},
                                      {"op", least->op},
                                      {"layout", least->words},
                                      {"other", least->runnerUp},
                                      {"copies", where->count},
                                      {"exact", least->runnerUpState == planning::RunnerUp::Exact},
                                      {"seconds_more", least->runnerUpSeconds},
                                      {"seconds", report.passSeconds + least->runnerUpSeconds}};
}

} // namespace

static std::vector<machine::Machine> machinesOf(ModuleOp program, const planning::PlanOptions &plan) {
  std::vector<int64_t> sizes;
  for (rt::ProgramOp stage : program.getOps<rt::ProgramOp>())
    sizes.push_back(meshOf(stage).devices());
  machine::Machine whole = machine::forDevices(*plan.machine, plan.devices);
  return planning::machinesOfStages(*plan.machine, plan.devices, sizes)
      .value_or(std::vector<machine::Machine>(sizes.size(), whole));
}

/// The axes of the mesh; where each stage has its own, those of all, with their stages.
static json::Array axesOf(ModuleOp program, ArrayRef<machine::Machine> machines) {
  json::Array list;
  llvm::SmallDenseSet<Operation *> seen;
  int64_t stage = 0;
  bool own = false;
  for (rt::ProgramOp each : program.getOps<rt::ProgramOp>())
    own |= shd::getMesh(each) != shd::getMesh(*program.getOps<rt::ProgramOp>().begin());
  for (auto [each, machine] : llvm::zip_equal(program.getOps<rt::ProgramOp>(), machines)) {
    if (seen.insert(shd::getMesh(each)).second)
      for (const machine::MeshAxis &axis : meshOf(each).axes) {
        json::Object text{
            {"name", axis.name}, {"size", axis.size}, {"level", axis.level}, {"link", machine.links[axis.level].name}};
        if (own)
          text["stage"] = stage;
        list.push_back(std::move(text));
      }
    ++stage;
  }
  return list;
}

void addTensors(json::Object &account, ModuleOp planned, const CompileOptions &options) {
  TensorLister(planned).run(account);
}

void addStep(json::Object &account, ModuleOp program, const CompileOptions &options,
             const planning::PlanReport &report) {
  machine::Machine machine = machine::forDevices(*options.plan.machine, options.plan.devices);
  if (program.getOps<rt::ProgramOp>().empty())
    return;
  std::vector<machine::Machine> machines = machinesOf(program, options.plan);
  Timeline timeline = makeTimeline(program, machines, machine, options.plan.devices, report);
  addLanes(account, report, timeline);
  const machine::DeviceType &device = machine.device();
  account["device"] = json::Object{{"name", device.name},
                                   {"memory_bytes", options.plan.memoryLimit.value_or(device.memoryBytes)},
                                   {"memory_bandwidth", device.memoryBandwidth}};
  account["axes"] = axesOf(program, machines);
  addLinks(account, timeline, machine);
  addLimits(account, report, timeline, machine, options.plan.objective == "throughput");
  addRunnerUp(account, report);
}

} // namespace mpopt
