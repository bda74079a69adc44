#include "Details.h"
#include "Timeline.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Emit/Emit.h"
#include "llvm/ADT/StringMap.h"
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
  TensorLister(ModuleOp planned)
      : main(planned.lookupSymbol<func::FuncOp>("main")), mesh(shd::getMesh(planned).getMesh()) {}

  void run(json::Object &account) {
    for (BlockArgument argument : main.getArguments())
      addPort(inputs, argument.getType(), main.getArgAttrDict(argument.getArgNumber()));
    for (auto [index, type] : llvm::enumerate(main.getResultTypes()))
      addPort(outputs, type, main.getResultAttrDict(index));
    for (Operation &op : main.getBody().front().without_terminator())
      if (!llvm::all_of(op.getResults(), [](Value result) { return nn::isInitTime(result); }))
        addOperator(&op);
    account["inputs"] = std::move(inputs);
    account["outputs"] = std::move(outputs);
    account["tensors"] = std::move(tensors);
    account["weights"] = std::move(weights);
  }

private:
  void addPort(json::Array &list, Type type, DictionaryAttr attrs) {
    auto name = attrs ? attrs.getAs<StringAttr>("nn.name") : StringAttr();
    auto sharding = attrs ? attrs.getAs<shd::ShardingAttr>(shd::kShardingAttr) : shd::ShardingAttr();
    if (!sharding)
      return;
    json::Object text = tensorText(cast<RankedTensorType>(type), sharding, mesh);
    text["name"] = name ? name.getValue() : "";
    list.push_back(std::move(text));
  }

  /// One entry per result, numbered like PlanReport::ops; and the weights that the operator reads.
  void addOperator(Operation *op) {
    auto shardings = [&](StringRef name) {
      return llvm::to_vector(op->getAttrOfType<ArrayAttr>(name).getAsRange<shd::ShardingAttr>());
    };
    for (auto [result, sharding] : llvm::zip_equal(op->getResults(), shardings(shd::kOutAttr))) {
      json::Object text = tensorText(cast<RankedTensorType>(result.getType()), sharding, mesh);
      text["operator"] = number;
      text["op"] = op->getName().stripDialect();
      text["node"] = nodeNameOf(op->getLoc());
      tensors.push_back(std::move(text));
    }
    for (auto [operand, sharding] : llvm::zip_equal(op->getOperands(), shardings(shd::kInAttr)))
      if (auto weight = operand.getDefiningOp<nn::WeightOp>();
          weight && listed.insert({weight.getName().str(), sharding.getAsOpaquePointer()}).second) {
        json::Object text = tensorText(cast<RankedTensorType>(operand.getType()), sharding, mesh);
        text["operator"] = number;
        text["name"] = weight.getName();
        weights.push_back(std::move(text));
      }
    ++number;
  }

  func::FuncOp main;
  shd::MeshAttr mesh;
  int64_t number = 0;
  json::Array inputs, outputs, tensors, weights;
  std::set<std::pair<std::string, const void *>> listed; // looked up only
};

json::Object eventText(const TimelineEvent &event, const llvm::StringMap<size_t> &blockOf) {
  json::Object text{{"start", event.start}, {"seconds", event.seconds}, {"kind", event.kind}, {"node", event.node}};
  if (auto block = blockOf.find(event.node); block != blockOf.end())
    text["block"] = block->second;
  if (event.kind != "compute")
    text["bytes"] = event.bytes;
  return text;
}

/// Seconds by what they are spent on, and which of these is the most.
void addLimits(json::Object &account, const planning::PlanReport &report, const Timeline &timeline,
               const machine::Machine &machine) {
  double arithmetic = 0, traffic = 0, launch = 0;
  for (const planning::OpReport &op : report.ops) {
    arithmetic += op.arithmeticSeconds;
    traffic += op.trafficSeconds;
    launch += op.launchSeconds;
  }
  std::vector<std::pair<std::string, double>> limits = {
      {"arithmetic", arithmetic}, {"memory bandwidth", traffic}, {"kernel launches", launch}};
  json::Array links, list;
  for (const cost::LevelTraffic &part : timeline.links) {
    const machine::Link &link = machine.links[part.level];
    links.push_back(json::Object{{"level", part.level},
                                 {"name", link.name},
                                 {"bandwidth", link.bandwidth},
                                 {"latency_seconds", link.latencySeconds},
                                 {"bytes", part.bytes},
                                 {"seconds", part.seconds}});
    if (part.seconds > 0)
      limits.emplace_back(link.name, part.seconds);
  }
  const auto *most = &limits.front();
  for (const auto &limit : limits) {
    list.push_back(json::Object{{"name", limit.first}, {"seconds", limit.second}});
    if (limit.second > most->second)
      most = &limit;
  }
  account["links"] = std::move(links);
  account["limits"] = std::move(list);
  account["limited_by"] = most->first;
}

/// The decision whose next best costs the least more: the plan that comes second.
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
                                      {"seconds", report.predictedSeconds + least->runnerUpSeconds}};
}

} // namespace

void addTensors(json::Object &account, ModuleOp planned, const CompileOptions &options) {
  TensorLister(planned).run(account);
}

void addStep(json::Object &account, ModuleOp program, const CompileOptions &options,
             const planning::PlanReport &report) {
  machine::Machine machine = machine::forDevices(*options.plan.machine, options.plan.devices);
  auto mesh = machine::makeMesh(machine, options.plan.devices);
  auto programs = llvm::to_vector(program.getOps<rt::ProgramOp>());
  if (!mesh || programs.size() != 1)
    return;
  Timeline timeline = makeTimeline(programs.front(), machine, *mesh, report);

  llvm::StringMap<size_t> blockOf;
  for (auto [index, block] : llvm::enumerate(report.blocks))
    for (const std::string &node : block.nodes)
      blockOf.try_emplace(node, index);
  json::Array events, times, bytes, axes;
  for (const TimelineEvent &event : timeline.events) {
    events.push_back(eventText(event, blockOf));
    times.push_back(event.start);
    bytes.push_back(event.liveBytes);
  }
  json::Object lane{{"first_rank", 0}, {"last_rank", options.plan.devices - 1}, {"events", std::move(events)}};
  account["timeline"] = json::Object{{"seconds", timeline.seconds}, {"lanes", json::Array{std::move(lane)}}};
  const machine::DeviceType &device = machine.device();
  account["memory_over_time"] = json::Object{{"seconds", std::move(times)}, {"work_bytes", std::move(bytes)}};
  account["device"] = json::Object{{"name", device.name},
                                   {"memory_bytes", options.plan.memoryLimit.value_or(device.memoryBytes)},
                                   {"memory_bandwidth", device.memoryBandwidth}};
  for (const machine::MeshAxis &axis : mesh->axes)
    axes.push_back(json::Object{
        {"name", axis.name}, {"size", axis.size}, {"level", axis.level}, {"link", machine.links[axis.level].name}});
  account["axes"] = std::move(axes);
  addLimits(account, report, timeline, machine);
  addRunnerUp(account, report);
}

} // namespace mpopt
