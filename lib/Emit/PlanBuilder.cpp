#include "PlanBuilder.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace mpopt::emit {
namespace {

plan::DType dtypeOf(Type type) {
  if (type.isF64())
    return plan::DType::f64;
  if (type.isF16())
    return plan::DType::f16;
  if (type.isBF16())
    return plan::DType::bf16;
  if (type.isF32())
    return plan::DType::f32;
  bool isUnsigned = type.isUnsignedInteger();
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return plan::DType::boolean;
  case 8:
    return isUnsigned ? plan::DType::u8 : plan::DType::i8;
  case 16:
    return isUnsigned ? plan::DType::u16 : plan::DType::i16;
  case 32:
    return isUnsigned ? plan::DType::u32 : plan::DType::i32;
  default:
    return isUnsigned ? plan::DType::u64 : plan::DType::i64;
  }
}

/// The ONNX nodes that a location stems from, in order of first mention.
void collectNames(Location loc, SmallVector<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    if (!llvm::is_contained(names, name.getName().getValue()))
      names.push_back(name.getName());
  } else if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations())
      collectNames(part, names);
  }
}

class PlanBuilder {
public:
  explicit PlanBuilder(ArrayRef<StagePlan> stages) : stages(stages), result(std::make_unique<plan::PlanT>()) {}

  std::unique_ptr<plan::PlanT> build() {
    name(""); // names[0]
    countRanks();
    for (auto [number, entry] : llvm::enumerate(stages)) {
      stage = number;
      mesh = entry.mesh;
      numCollectives = 0;
      auto out = std::make_unique<plan::ProgramT>();
      out->work_bytes = rt::ProgramOp(entry.program).getWorkBytes();
      target = out.get();
      for (Operation &op : rt::ProgramOp(entry.program).getBody().front())
        add(&op);
      result->programs.push_back(std::move(out));
      for (const std::vector<WeightPlace> &places : entry.weights->places())
        addRank(places);
    }
    finishPorts(inputs, result->inputs);
    finishPorts(outputs, result->outputs);
    result->mesh = meshText();
    return std::move(result);
  }

private:
  void countRanks() {
    int64_t ranks = 0;
    for (const StagePlan &entry : stages) {
      firstRanks.push_back(ranks);
      ranks += entry.mesh.getNumDevices();
      for (Operation &op : rt::ProgramOp(entry.program).getBody().front())
        if (auto send = dyn_cast<rt::SendOp>(op))
          sends[send.getTag()] = send;
        else if (auto recv = dyn_cast<rt::RecvOp>(op))
          recvs[recv.getTag()] = recv;
    }
    result->devices = ranks;
  }

  static std::string axesOf(shd::MeshAttr mesh) {
    auto text = [](shd::MeshAxisAttr axis) { return axis.getName().str() + "=" + std::to_string(axis.getSize()); };
    return llvm::join(llvm::map_range(mesh.getAxes(), text), ",");
  }

  /// "pp=2,x0=2" for equal stages, "pp=4+3,x0=2,x1=2|x0=3" for others.
  std::string meshText() const {
    std::string axes = axesOf(stages.front().mesh);
    if (stages.size() == 1)
      return axes;
    if (llvm::all_of(stages, [&](const StagePlan &entry) { return entry.mesh == stages.front().mesh; }))
      return "pp=" + std::to_string(stages.size()) + (axes.empty() ? "" : "," + axes);
    auto size = [](const StagePlan &entry) { return std::to_string(entry.mesh.getNumDevices()); };
    auto all = [](const StagePlan &entry) { return entry.mesh.getAxes().empty() ? "1" : axesOf(entry.mesh); };
    return "pp=" + llvm::join(llvm::map_range(stages, size), "+") + "," + llvm::join(llvm::map_range(stages, all), "|");
  }

  void addRank(const std::vector<WeightPlace> &places) {
    auto rank = std::make_unique<plan::RankT>();
    rank->program = stage;
    for (const WeightPlace &place : places) {
      auto slice = std::make_unique<plan::WeightSliceT>();
      slice->offset = place.offset;
      slice->bytes = place.bytes;
      rank->weights.push_back(std::move(slice));
    }
    result->ranks.push_back(std::move(rank));
  }

  uint32_t name(const std::string &text) {
    auto [it, isNew] = names.try_emplace(text, result->names.size());
    if (isNew)
      result->names.push_back(text);
    return it->second;
  }

  uint32_t kernel(StringRef symbol) {
    auto [it, isNew] = kernels.try_emplace(symbol.str(), result->kernels.size());
    if (isNew)
      result->kernels.push_back(symbol.str());
    return it->second;
  }

  uint32_t groupSet(ArrayAttr axes) {
    auto [it, isNew] = groupSets.try_emplace({stage, axes}, result->group_sets.size());
    if (!isNew)
      return it->second;
    auto set = std::make_unique<plan::GroupSetT>();
    set->axes =
        llvm::join(llvm::map_range(axes.getAsRange<StringAttr>(), [](StringAttr a) { return a.getValue(); }), ",");
    for (const auto &ranks : coll::getGroups(mesh, llvm::to_vector(axes.getAsRange<StringAttr>()))) {
      auto group = std::make_unique<plan::GroupT>();
      for (int64_t rank : ranks)
        group->ranks.push_back(firstRanks[stage] + rank);
      set->groups.push_back(std::move(group));
    }
    result->group_sets.push_back(std::move(set));
    return it->second;
  }

  void add(Operation *op) {
    TypeSwitch<Operation *>(op)
        .Case([&](rt::BufferOp buffer) { addBuffer(buffer); })
        .Case([&](rt::PortOp port) { addPort(port); })
        .Case([&](rt::KernelOp kernelOp) {
          plan::KernelCallT call;
          call.kernel = kernel(kernelOp.getCallee());
          addInstruction(kernelOp, std::move(call));
        })
        .Case([&](rt::CollectiveOp collective) { addInstruction(collective, collectiveOf(collective)); })
        .Case([&](rt::CopyOp copy) { addInstruction(copy, plan::CopyT()); })
        .Case([&](rt::SendOp send) { addInstruction(send, messageOf<plan::SendT>(send, 1)); })
        .Case([&](rt::RecvOp recv) { addInstruction(recv, messageOf<plan::RecvT>(recv, -1)); });
  }

  /// Source buffers, and work buffers of init instructions, have no place in a plan whose weights are computed.
  void addBuffer(rt::BufferOp buffer) {
    bool inRun = buffer.getSpace() == rt::Space::Weights || llvm::any_of(buffer->getUsers(), [](Operation *user) {
                   return !user->hasAttr("init") && !user->getAttr("init");
                 });
    if (buffer.getSpace() == rt::Space::Source || !inRun)
      return;
    auto out = std::make_unique<plan::BufferT>();
    RankedTensorType type = buffer.getType().getTensor();
    out->space = static_cast<plan::Space>(buffer.getSpace());
    out->offset = buffer.getOffset();
    out->bytes = getBytes(buffer);
    out->dtype = dtypeOf(type.getElementType());
    out->shape.assign(type.getShape().begin(), type.getShape().end());
    buffers[buffer] = target->buffers.size();
    target->buffers.push_back(std::move(out));
  }

  template <typename OpT, typename CallT> void addInstruction(OpT op, CallT call) {
    if (op.getInit())
      return;
    auto out = std::make_unique<plan::InstructionT>();
    out->op.Set(std::move(call));
    out->stream = op.getStream();
    if (auto waits = op.getWaits())
      out->waits.assign(waits->begin(), waits->end());
    for (Value read : op.getReads())
      out->reads.push_back(buffers.lookup(read));
    for (Value write : op.getWrites())
      out->writes.push_back(buffers.lookup(write));
    SmallVector<StringRef> nodes;
    collectNames(op.getLoc(), nodes);
    for (auto [i, node] : llvm::enumerate(nodes))
      (i == 0 ? out->node : out->other_nodes.emplace_back()) = name(node.str());
    out->seconds = op.getSeconds() ? op.getSeconds()->convertToDouble() : 0;
    target->instructions.push_back(std::move(out));
  }

  plan::CollectiveT collectiveOf(rt::CollectiveOp op) {
    plan::CollectiveT call;
    call.kind = static_cast<plan::CollectiveKind>(op.getKind());
    call.reduce = static_cast<plan::ReduceKind>(op.getReduce());
    call.group_set = groupSet(op.getAxes());
    call.dim = op.getDim();
    call.split_dim = op.getSplitDim();
    call.low = op.getLow();
    call.high = op.getHigh();
    call.pad = op.getPad().convertToDouble();
    if (auto permutation = op.getPermutation())
      call.permutation.assign(permutation->begin(), permutation->end());
    call.experts = op.getExperts();
    call.sequence = numCollectives++;
    return call;
  }

  template <typename CallT> CallT messageOf(auto op, int64_t direction) {
    CallT call;
    call.tag = op.getTag();
    int64_t peer = stage + direction * static_cast<int64_t>(op.getDistance());
    if (op.getGlobal())
      call.transfer = transferOf(op.getTag());
    else if (peer >= 0 && peer < static_cast<int64_t>(stages.size()))
      call.distance = static_cast<int32_t>(firstRanks[peer] - firstRanks[stage]);
    return call;
  }

  /// Messages between the same stages of values that are spread alike share one.
  int32_t transferOf(uint64_t tag) {
    rt::SendOp send = sends.lookup(tag);
    rt::RecvOp recv = recvs.lookup(tag);
    if (!send || !recv || !send.getSharding() || !recv.getSharding())
      return -1; // which the plan's verifier refuses
    int64_t from = stageOf(send), to = stageOf(recv);
    auto [known, isNew] = transfers.try_emplace({from, to, send.getGlobalAttr().getAsOpaquePointer(),
                                                 send.getShardingAttr().getAsOpaquePointer(),
                                                 recv.getShardingAttr().getAsOpaquePointer()},
                                                result->transfers.size());
    if (!isNew)
      return known->second;
    auto global = cast<RankedTensorType>(*send.getGlobal());
    coll::Spread source{*send.getSharding(), stages[from].mesh}, target{*recv.getSharding(), stages[to].mesh};
    auto transfer = std::make_unique<plan::TransferT>();
    llvm::append_range(transfer->shape, source.sharding.getLocalShape(global.getShape(), source.mesh));
    for (const coll::Piece &piece : coll::getPieces(global, source, target)) {
      auto out = std::make_unique<plan::PieceT>();
      out->from = firstRanks[from] + piece.from;
      out->to = firstRanks[to] + piece.to;
      out->source.assign(piece.source.begin(), piece.source.end());
      out->target.assign(piece.target.begin(), piece.target.end());
      out->size.assign(piece.size.begin(), piece.size.end());
      transfer->pieces.push_back(std::move(out));
    }
    result->transfers.push_back(std::move(transfer));
    return known->second;
  }

  int64_t stageOf(Operation *op) const {
    auto holds = [&](const StagePlan &entry) {
      return rt::ProgramOp(entry.program).getOperation() == op->getParentOp();
    };
    return llvm::find_if(stages, holds) - stages.begin();
  }

  /// Ports of one name, in all stages and for all microbatches, are one.
  void addPort(rt::PortOp port) {
    auto local = cast<RankedTensorType>(port.getGlobal());
    std::unique_ptr<plan::PortT> &out = (port.getOutput() ? outputs : inputs)[port.getPosition()];
    int64_t ranks = result->devices, parts = port.getParts(), part = port.getPart();
    if (!out) {
      out = std::make_unique<plan::PortT>();
      out->name = port.getName().str();
      out->dtype = dtypeOf(local.getElementType());
      out->shape.assign(local.getShape().begin(), local.getShape().end());
      if (parts > 1)
        out->shape[port.getDim()] *= parts;
      out->parts = parts;
      out->buffers.assign(ranks * parts, -1);
      for (int64_t slot = 0; slot < ranks * parts; ++slot)
        out->boxes.push_back(std::make_unique<plan::BoxT>());
    }
    for (int64_t device = 0; device < mesh.getNumDevices(); ++device) {
      int64_t slot = part * ranks + firstRanks[stage] + device;
      out->buffers[slot] = buffers.lookup(port.getBuffer());
      out->boxes[slot] = boxOf(port.getSharding(), local, device);
      if (parts > 1)
        out->boxes[slot]->start[port.getDim()] += part * local.getDimSize(port.getDim());
    }
  }

  static void finishPorts(std::map<int64_t, std::unique_ptr<plan::PortT>> &ports,
                          std::vector<std::unique_ptr<plan::PortT>> &out) {
    for (auto &[position, port] : ports)
      out.push_back(std::move(port));
  }

  std::unique_ptr<plan::BoxT> boxOf(shd::ShardingAttr sharding, RankedTensorType global, int64_t device) {
    auto box = std::make_unique<plan::BoxT>();
    auto [start, size] = coll::getBox(global, {sharding, mesh}, device);
    box->start.assign(start.begin(), start.end());
    box->size.assign(size.begin(), size.end());
    return box;
  }

  ArrayRef<StagePlan> stages;
  shd::MeshAttr mesh; // of the stage at hand
  int64_t stage = 0;
  SmallVector<int64_t> firstRanks;            // by stage
  llvm::DenseMap<uint64_t, rt::SendOp> sends; // by tag
  llvm::DenseMap<uint64_t, rt::RecvOp> recvs;
  std::map<std::tuple<int64_t, int64_t, const void *, const void *, const void *>, int32_t> transfers; // looked up only
  std::unique_ptr<plan::PlanT> result;
  std::map<int64_t, std::unique_ptr<plan::PortT>> inputs, outputs; // by position
  plan::ProgramT *target = nullptr;
  std::map<std::string, uint32_t> names, kernels;
  DenseMap<std::pair<int64_t, Attribute>, uint32_t> groupSets;
  DenseMap<Value, uint32_t> buffers;
  uint32_t numCollectives = 0;
};

} // namespace

std::unique_ptr<plan::PlanT> buildPlan(ArrayRef<StagePlan> stages) { return PlanBuilder(stages).build(); }

} // namespace mpopt::emit
