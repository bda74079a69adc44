#include "Account.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Emit/Emit.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Path.h"

using namespace mlir;
namespace json = llvm::json;

namespace mpopt {
namespace {

std::string nameOf(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string name = nameOf(part); !name.empty())
        return name;
  return "";
}

/// A sharding without the mesh's name: [{"x0"}, {}].
std::string shortText(shd::ShardingAttr sharding) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "[";
  for (auto [i, dim] : llvm::enumerate(sharding.getDims())) {
    stream << (i ? "," : "") << "{";
    llvm::interleave(dim.getAxes(), stream, [&](StringAttr axis) { stream << axis.getValue(); }, ",");
    stream << "}";
  }
  stream << "]";
  if (!sharding.getUnreduced().empty()) {
    stream << " partial over ";
    llvm::interleave(sharding.getUnreduced(), stream, [&](StringAttr axis) { stream << axis.getValue(); }, ",");
  }
  return text;
}

json::Array strategyOf(ModuleOp planned) {
  json::Array result;
  planned.walk([&](Operation *op) {
    auto out = op->getAttrOfType<ArrayAttr>(shd::kOutAttr);
    if (!out || isa<nn::WeightOp, nn::ConstantOp>(op) || out.empty())
      return;
    auto in = op->getAttrOfType<ArrayAttr>(shd::kInAttr);
    json::Array operands;
    for (auto sharding : in.getAsRange<shd::ShardingAttr>())
      operands.push_back(shortText(sharding));
    result.push_back(json::Object{{"node", nameOf(op->getLoc())},
                                  {"op", op->getName().stripDialect()},
                                  {"in", std::move(operands)},
                                  {"sharding", shortText(cast<shd::ShardingAttr>(out[0]))}});
  });
  return result;
}

int64_t bytesOf(Value buffer) {
  RankedTensorType type = cast<rt::BufferType>(buffer.getType()).getTensor();
  return type.getNumElements() * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
}

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
  }
  return 0;
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

json::Object blockText(const planning::BlockReport &block, const Traffic &traffic) {
  json::Array layouts, others;
  for (const planning::LayoutReport &layout : block.layouts)
    layouts.push_back(layoutText(layout));
  for (const planning::OtherLayout &other : block.others)
    others.push_back(json::Object{{"layout", other.words}, {"operators", other.operators}, {"seconds", other.seconds}});
  return json::Object{{"name", block.name},
                      {"last_name", block.lastName},
                      {"count", block.count},
                      {"operators", block.operators},
                      {"compute_seconds", block.computeSeconds},
                      {"communication_seconds", block.commSeconds},
                      {"weights_bytes", block.weightBytes},
                      {"live_bytes", block.peakBytes},
                      {"collectives", traffic.text(block.count)},
                      {"layouts", std::move(layouts)},
                      {"others", std::move(others)}};
}

} // namespace

json::Object startAccount(ModuleOp planned, const CompileOptions &options, const planning::PlanReport &report) {
  json::Object account{{"model", llvm::sys::path::filename(options.model)},
                       {"devices", options.plan.devices},
                       {"machine", options.plan.machine->name},
                       {"objective", options.plan.objective},
                       {"predicted_seconds", report.predictedSeconds},
                       {"lower_bound_seconds", report.lowerBoundSeconds},
                       {"strategy", strategyOf(planned)}};
  std::string mesh;
  if (shd::MeshOp op = shd::getMesh(planned))
    for (shd::MeshAxisAttr axis : op.getMesh().getAxes())
      mesh += (mesh.empty() ? "" : ",") + axis.getName().str() + "=" + std::to_string(axis.getSize());
  account["mesh"] = mesh;
  return account;
}

void addProgram(json::Object &account, ModuleOp program, const planning::PlanReport &report) {
  shd::MeshAttr mesh = shd::getMesh(program).getMesh();
  llvm::StringMap<size_t> blockOf;
  for (auto [index, block] : llvm::enumerate(report.blocks))
    for (const std::string &node : block.nodes)
      blockOf.try_emplace(node, index);
  Traffic all;
  std::vector<Traffic> ofBlocks(report.blocks.size());
  program.walk([&](rt::CollectiveOp op) {
    std::string kind = rt::stringifyCollectiveKind(op.getKind()).str();
    int64_t bytes = receivedBytes(op, mesh.sizeOf(llvm::to_vector(op.getAxes().getAsRange<StringAttr>())));
    all.add(kind, bytes);
    if (auto block = blockOf.find(nameOf(op.getLoc())); block != blockOf.end())
      ofBlocks[block->second].add(kind, bytes);
  });
  account["collectives"] = all.text();
  if (!report.blocks.empty()) {
    json::Array blocks;
    for (auto [block, traffic] : llvm::zip_equal(report.blocks, ofBlocks))
      blocks.push_back(blockText(block, traffic));
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
