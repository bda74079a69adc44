#include "Account.h"
#include "Timeline.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Emit/Emit.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Path.h"

using namespace mlir;
namespace json = llvm::json;

namespace mpopt {
namespace {

json::Array shardingTexts(Operation *op, StringRef name) {
  json::Array texts;
  if (auto shardings = op->getAttrOfType<ArrayAttr>(name))
    for (auto sharding : shardings.getAsRange<shd::ShardingAttr>())
      texts.push_back(planning::shardingText(sharding));
  return texts;
}

/// Adds an entry per operator that runs in a step, in the order of PlanReport::ops. FixedPlan reads it back.
void addStrategy(json::Array &result, func::FuncOp main) {
  for (Operation &op : main.getBody().front().without_terminator()) {
    if (isa<coll::CollDialect>(op.getDialect()) ||
        llvm::all_of(op.getResults(), [](Value value) { return nn::isInitTime(value); }))
      continue;
    json::Array out = shardingTexts(&op, shd::kOutAttr);
    json::Object entry{{"node", nodeNameOf(op.getLoc())},
                       {"op", op.getName().stripDialect()},
                       {"in", shardingTexts(&op, shd::kInAttr)},
                       {"sharding", out.empty() ? json::Value("") : out.front()}};
    if (out.size() > 1)
      entry["out"] = std::move(out);
    result.push_back(std::move(entry));
  }
}

/// The shardings of inputs and outputs.
void addPorts(json::Array &inputs, json::Array &outputs, func::FuncOp main) {
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    if (auto sharding = main.getArgAttrOfType<shd::ShardingAttr>(i, shd::kShardingAttr))
      inputs.push_back(planning::shardingText(sharding));
  for (unsigned i = 0; i < main.getNumResults(); ++i)
    if (auto sharding = main.getResultAttrOfType<shd::ShardingAttr>(i, shd::kShardingAttr))
      outputs.push_back(planning::shardingText(sharding));
}

int64_t bytesOf(RankedTensorType type) {
  return type.getNumElements() * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
}
int64_t bytesOf(Value buffer) { return bytesOf(cast<rt::BufferType>(buffer.getType()).getTensor()); }

/// Bytes that one device receives in a collective over k devices, with the algorithms of least traffic.
int64_t receivedBytes(rt::CollectiveOp op, int64_t k) {
  int64_t in = bytesOf(op.getReads()[0]), out = bytesOf(op.getWrites()[0]);
  switch (op.getKind()) {
  case rt::CollectiveKind::AllReduce:
    return 2 * in * (k - 1) / k;
  case rt::CollectiveKind::AllGather:
    return out * (k - 1) / k;
  case rt::CollectiveKind::ReduceScatter:
  case rt::CollectiveKind::AllToAll:
    return in * (k - 1) / k;
  case rt::CollectiveKind::Permute:
    return in;
  case rt::CollectiveKind::Halo:
    return out - in;
  case rt::CollectiveKind::Dispatch:
  case rt::CollectiveKind::Combine:
    return *routedBytes(op) * (k - 1) / k;
  }
  return 0;
}

struct Messages {
  int64_t count = 0, bytes = 0;
};

/// What all devices send in a step.
Messages messagesOf(ModuleOp program) {
  Messages messages;
  llvm::DenseMap<uint64_t, rt::RecvOp> recvs; // by tag
  program.walk([&](rt::RecvOp op) { recvs[op.getTag()] = op; });
  program.walk([&](rt::SendOp op) {
    shd::MeshAttr mesh = shd::getMesh(op).getMesh();
    rt::RecvOp recv = recvs.lookup(op.getTag());
    if (!op.getGlobal() || !recv || !recv.getSharding()) {
      messages.count += mesh.getNumDevices();
      messages.bytes += mesh.getNumDevices() * bytesOf(op.getReads()[0]);
      return;
    }
    auto type = cast<RankedTensorType>(*op.getGlobal());
    for (const coll::Piece &piece :
         coll::getPieces(type, {*op.getSharding(), mesh}, {*recv.getSharding(), shd::getMesh(recv).getMesh()})) {
      ++messages.count;
      messages.bytes += bytesOf(type.clone(piece.size));
    }
  });
  return messages;
}

/// Collectives by kind, with their bytes, in the order of first use.
class Traffic {
public:
  void add(const std::string &kind, int64_t bytes) {
    auto &[count, sum] = kinds[kind];
    ++count;
    sum += bytes;
  }
  /// For one of `copies` equal parts.
  json::Array text(int64_t copies = 1) const {
    json::Array list;
    for (const auto &[kind, sum] : kinds)
      list.push_back(json::Object{
          {"kind", kind},
          {"count", copies == 1 ? json::Value(sum.first) : json::Value(double(sum.first) / double(copies))},
          {"bytes", sum.second / copies}});
    return list;
  }

private:
  std::map<std::string, std::pair<int64_t, int64_t>> kinds;
};

json::Object layoutText(const planning::LayoutReport &layout) {
  using planning::RunnerUp;
  json::Object text{{"node", layout.node},
                    {"op", layout.op},
                    {"layout", layout.words},
                    {"compute_seconds", layout.computeSeconds},
                    {"communication_seconds", layout.commSeconds}};
  if (layout.runnerUpState == RunnerUp::None)
    text["runner_up"] = nullptr;
  if (layout.runnerUpState == RunnerUp::Exact || layout.runnerUpState == RunnerUp::Found)
    text["runner_up"] = json::Object{{"layout", layout.runnerUp},
                                     {"seconds_more", layout.runnerUpSeconds},
                                     {"exact", layout.runnerUpState == RunnerUp::Exact}};
  return text;
}

json::Object blockText(const planning::BlockReport &block, const Traffic &traffic, int64_t microbatches) {
  json::Array layouts, others;
  for (const planning::LayoutReport &layout : block.layouts)
    layouts.push_back(layoutText(layout));
  for (const planning::OtherLayout &other : block.others)
    others.push_back(json::Object{{"layout", other.words}, {"operators", other.operators}, {"seconds", other.seconds}});
  return json::Object{{"name", block.name},
                      {"last_name", block.lastName},
                      {"count", block.count},
                      {"first_operator", block.first},
                      {"operators", block.operators},
                      {"compute_seconds", block.computeSeconds},
                      {"communication_seconds", block.commSeconds},
                      {"weights_bytes", block.weightBytes},
                      {"live_bytes", block.peakBytes},
                      {"collectives", traffic.text(block.count * microbatches)},
                      {"layouts", std::move(layouts)},
                      {"others", std::move(others)}};
}

json::Object stageText(const planning::StageReport &stage, int64_t firstRank) {
  json::Array ranks;
  for (int64_t device = 0; device < stage.devices; ++device)
    ranks.push_back(firstRank + device);
  return json::Object{{"devices", std::move(ranks)},
                      {"device", stage.device},
                      {"first_node", stage.first},
                      {"last_node", stage.last},
                      {"operators", stage.operators},
                      {"seconds", stage.seconds()},
                      {"compute_seconds", stage.computeSeconds},
                      {"communication_seconds", stage.commSeconds},
                      {"transfer_seconds", stage.transferSeconds},
                      {"sent_bytes", stage.sentBytes},
                      {"received_bytes", stage.receivedBytes},
                      {"weights_bytes", stage.weightBytes},
                      {"live_bytes", stage.liveBytes}};
}

/// Times and bytes of stages are those of one microbatch, on one device; messages are all of a step.
json::Object pipelineText(const planning::PlanReport &report, bool streams) {
  json::Array stages;
  int64_t firstRank = 0;
  for (const planning::StageReport &stage : report.stages) {
    stages.push_back(stageText(stage, firstRank));
    firstRank += stage.devices;
  }
  return json::Object{{"microbatches", report.microbatches},
                      {"pass_seconds", report.passSeconds},
                      {"steps_overlap", streams},
                      {"stages", std::move(stages)}};
}

/// The first dimension of the first input.
std::optional<int64_t> batchOf(func::FuncOp main) {
  if (main.getNumArguments() == 0)
    return std::nullopt;
  auto type = cast<RankedTensorType>(main.getArgument(0).getType());
  return type.getRank() > 0 ? std::optional(type.getDimSize(0)) : std::nullopt;
}

} // namespace

json::Object startAccount(ModuleOp planned, const CompileOptions &options, const planning::PlanReport &report) {
  SmallVector<func::FuncOp> functions = planning::getPlannedFunctions(planned);
  func::FuncOp main = functions.front();
  json::Array strategy, inputs, outputs;
  for (func::FuncOp function : functions) {
    addStrategy(strategy, function);
    addPorts(inputs, outputs, function);
  }
  json::Object account{{"model", llvm::sys::path::filename(options.model)},
                       {"devices", options.plan.devices},
                       {"machine", options.plan.machine->name},
                       {"objective", options.plan.objective},
                       {"predicted_seconds", report.predictedSeconds},
                       {"lower_bound_seconds", report.lowerBoundSeconds},
                       {"mesh", planning::meshText(planned)},
                       {"strategy", std::move(strategy)},
                       {"input_shardings", std::move(inputs)},
                       {"output_shardings", std::move(outputs)}};
  if (!options.dims.empty())
    account["dims"] = json::Array(options.dims);
  if (options.plan.strategy)
    account["strategy_flag"] = options.plan.strategy->text();
  if (std::optional<int64_t> batch = batchOf(main))
    account["batch"] = *batch * (main.getArgAttr(0, shd::kBatchDimAttr) ? report.microbatches : 1);
  if (report.microbatches > 1 || !report.stages.empty())
    account["pipeline"] = pipelineText(report, options.plan.objective == "throughput" && !report.stages.empty());
  return account;
}

void addCandidates(json::Object &account, ArrayRef<PipelineCandidate> tried) {
  if (tried.size() < 2)
    return;
  json::Array candidates;
  for (const PipelineCandidate &candidate : tried) {
    json::Object text{{"stages", candidate.strategy.stages}, {"microbatches", candidate.strategy.microbatches}};
    if (!candidate.strategy.stageDevices.empty())
      text["stage_devices"] = json::Array(candidate.strategy.stageDevices);
    if (candidate.exists) {
      text["predicted_seconds"] = candidate.seconds;
      text["memory_bytes"] = candidate.memoryBytes;
    }
    candidates.push_back(std::move(text));
  }
  account["pipelines_considered"] = std::move(candidates);
}

void addProgram(json::Object &account, ModuleOp program, const planning::PlanReport &report) {
  llvm::StringMap<size_t> blockOf;
  for (auto [index, block] : llvm::enumerate(report.blocks))
    for (const std::string &node : block.nodes)
      blockOf.try_emplace(node, index);
  Traffic all;
  std::vector<Traffic> ofBlocks(report.blocks.size());
  program.walk([&](rt::CollectiveOp op) {
    std::string kind = rt::stringifyCollectiveKind(op.getKind()).str();
    shd::MeshAttr mesh = shd::getMesh(op).getMesh();
    int64_t bytes = receivedBytes(op, mesh.sizeOf(llvm::to_vector(op.getAxes().getAsRange<StringAttr>())));
    all.add(kind, bytes);
    if (auto block = blockOf.find(nodeNameOf(op.getLoc())); block != blockOf.end())
      ofBlocks[block->second].add(kind, bytes);
  });
  account["collectives"] = all.text();
  if (json::Object *pipeline = account.getObject("pipeline")) {
    Messages messages = messagesOf(program);
    (*pipeline)["messages"] = messages.count;
    (*pipeline)["message_bytes"] = messages.bytes;
  }
  if (!report.blocks.empty()) {
    json::Array blocks;
    for (auto [block, traffic] : llvm::zip_equal(report.blocks, ofBlocks))
      blocks.push_back(blockText(block, traffic, report.microbatches));
    account["blocks"] = std::move(blocks);
  }

  json::Array total, weights;
  for (const emit::DeviceMemory &memory : emit::getDeviceMemory(program)) {
    total.push_back(memory.work + memory.weights);
    weights.push_back(memory.weights);
  }
  account["memory_bytes"] = std::move(total);
  account["weights_bytes"] = std::move(weights);
}

} // namespace mpopt
