#include "InitTime.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/RT/Programs.h"
#include "mpopt/Dialect/RT/RT.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Schedule/MemoryPlan.h"
#include "mpopt/Schedule/Passes.h"
#include <deque>
#include <map>

using namespace mlir;

namespace mpopt::schedule {
#define GEN_PASS_DEF_BUILDPROGRAM
#include "mpopt/Schedule/Passes.h.inc"

namespace {

int64_t byteSize(RankedTensorType type) {
  return type.getNumElements() * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
}

/// The bytes that a value and its reshaped views share.
struct Storage {
  Value root;
  bool init = false;
  rt::Space space = rt::Space::Work;
  int64_t offset = -1;
  /// Life in run-time instructions, and in init instructions; empty when last < first.
  LiveBuffer run{0, std::numeric_limits<int64_t>::max(), -1, 0}, load{0, std::numeric_limits<int64_t>::max(), -1, 0};
};

void extend(LiveBuffer &life, int64_t time) {
  life.first = std::min(life.first, time);
  life.last = std::max(life.last, time);
}

Attribute microbatchOf(Operation *op) {
  if (auto send = dyn_cast<coll::SendOp>(op))
    return send.getMicrobatchAttr();
  if (auto recv = dyn_cast<coll::RecvOp>(op))
    return recv.getMicrobatchAttr();
  return op->getAttr(shd::kMicrobatchAttr);
}

class ProgramBuilder {
public:
  ProgramBuilder(func::FuncOp main, int64_t microbatches, bool streams)
      : main(main), builder(main), microbatches(microbatches), streams(streams) {}

  LogicalResult build() {
    if (!llvm::hasSingleElement(main.getBody()))
      return main.emitError("a program must be one block");
    ProgramTimes times = classify(main);
    initValues = std::move(times.initValues);
    runOps = std::move(times.runOps);
    orderInit();
    for (auto [time, op] : llvm::enumerate(initOps))
      touch(op, time, &Storage::load);
    for (auto [time, op] : llvm::enumerate(runOps))
      touch(op, time, &Storage::run);
    holdPorts();
    holdSent();
    reduceInPlace();
    int64_t workBytes = plan(&Storage::run, /*init=*/false);
    int64_t initBytes = plan(&Storage::load, /*init=*/true);
    return emit(workBytes, initBytes);
  }

private:
  Storage &storageOf(Value value) {
    while (auto reshape = value.getDefiningOp<nn::ReshapeOp>())
      value = reshape.getInput();
    auto [it, isNew] = storageIndex.try_emplace(value, storages.size());
    if (isNew) {
      storages.push_back(Storage{value});
      storages.back().run.bytes = storages.back().load.bytes = byteSize(cast<RankedTensorType>(value.getType()));
      storages.back().init = initValues.contains(value);
    }
    return storages[it->second];
  }

  /// Init values that the run needs become numbered weights; the instructions that make one come right before it is
  /// complete, so that few intermediate values live at once.
  void orderInit() {
    auto need = [&](Operation *user) {
      for (Value operand : user->getOperands())
        if (initValues.contains(operand))
          number(storageOf(operand));
    };
    for (Operation *op : runOps)
      need(op);
    need(main.getBody().front().getTerminator());
  }

  void number(Storage &storage) {
    if (storage.space == rt::Space::Weights)
      return;
    storage.space = rt::Space::Weights;
    storage.offset = numWeights++;
    weights.push_back(storage.root);
    make(storage.root);
  }

  /// Appends the instructions that compute an init value, operands first. Weights are read where they are in their file; only one that the
  /// run itself needs is copied.
  void make(Value value) {
    Operation *op = value.getDefiningOp();
    if (isa<nn::WeightOp>(op)) {
      if (storageOf(value).space == rt::Space::Weights)
        initOps.push_back(op);
      return;
    }
    if (!made.insert(op).second)
      return;
    for (Value operand : op->getOperands()) {
      Storage &storage = storageOf(operand);
      if (isa<nn::ConstantOp, coll::IndexOp>(storage.root.getDefiningOp()))
        number(storage);
      else if (!isa<nn::WeightOp>(storage.root.getDefiningOp()))
        make(storage.root);
    }
    if (isa<func::CallOp>(op))
      initOps.push_back(op);
  }

  void touch(Operation *op, int64_t time, LiveBuffer Storage::*life) {
    for (Value operand : op->getOperands())
      extend(storageOf(operand).*life, time);
    for (Value result : op->getResults())
      extend(storageOf(result).*life, time);
  }

  /// Inputs stay as they were given and outputs until they are read.
  void holdPorts() {
    int64_t end = runOps.size();
    for (Value argument : main.getArguments()) {
      extend(storageOf(argument).run, 0);
      extend(storageOf(argument).run, end);
      held.insert(storageOf(argument).root);
    }
    for (Value result : main.getBody().front().getTerminator()->getOperands()) {
      if (storageOf(result).init)
        continue;
      extend(storageOf(result).run, end);
      held.insert(storageOf(result).root);
    }
  }

  /// What is sent to a stage `distance` later lives until that many further microbatches have been sent: the receiver may be so far behind. When
  /// steps follow each other without a pause, the next step's count, too. In any case it lives until the microbatch's last
  /// message has been sent, which the receiver may want first.
  void holdSent() {
    std::map<std::pair<int64_t, int64_t>, int64_t> times; // by value and microbatch
    auto valueOf = [&](coll::SendOp send) { return static_cast<int64_t>(send.getTag()) / microbatches; };
    auto numberOf = [](coll::SendOp send) { return static_cast<int64_t>(send.getMicrobatch().value_or(0)); };
    std::map<int64_t, int64_t> lastSends; // by microbatch
    for (auto [time, op] : llvm::enumerate(runOps))
      if (auto send = dyn_cast<coll::SendOp>(op))
        lastSends[numberOf(send)] = times[{valueOf(send), numberOf(send)}] = time;
    for (Operation *op : runOps) {
      auto send = dyn_cast<coll::SendOp>(op);
      if (!send || storageOf(send.getInput()).init)
        continue;
      LiveBuffer &life = storageOf(send.getInput()).run;
      extend(life, lastSends.at(numberOf(send)));
      int64_t until = numberOf(send) + static_cast<int64_t>(send.getDistance());
      if (until < microbatches) {
        extend(life, times.at({valueOf(send), until}));
      } else if (streams) {
        extend(life, 0);
        extend(life, runOps.size());
      }
    }
  }

  /// An all-reduce whose operand dies with it works in place.
  void reduceInPlace() {
    for (auto [time, op] : llvm::enumerate(runOps)) {
      auto reduce = dyn_cast<coll::AllReduceOp>(op);
      if (!reduce)
        continue;
      Storage &in = storageOf(reduce.getInput()), &out = storageOf(reduce.getResult());
      if (in.init || held.contains(in.root) || in.run.last != static_cast<int64_t>(time) || &in == &out)
        continue;
      in.run.last = out.run.last;
      if (held.contains(out.root))
        held.insert(in.root);
      storageIndex[out.root] = storageIndex[in.root];
      out.run.last = -1;
    }
  }

  int64_t plan(LiveBuffer Storage::*life, bool init) {
    std::vector<LiveBuffer> lives;
    std::vector<Storage *> owners;
    for (Storage &storage : storages) {
      LiveBuffer &buffer = storage.*life;
      if (storage.space != rt::Space::Work || storage.init != init || buffer.last < buffer.first ||
          storage.root.getDefiningOp<nn::WeightOp>())
        continue;
      lives.push_back(buffer);
      owners.push_back(&storage);
    }
    int64_t bytes = planMemory(lives);
    for (auto [owner, buffer] : llvm::zip(owners, lives))
      owner->offset = buffer.offset;
    return bytes;
  }

  LogicalResult emit(int64_t workBytes, int64_t initBytes) {
    auto program = rt::ProgramOp::create(builder, main.getLoc(), main.getSymName(), workBytes, initBytes);
    for (StringRef name : {shd::kStageAttr, shd::kMeshAttr})
      if (Attribute attr = main->getAttr(name))
        program->setAttr(name, attr);
    builder.createBlock(&program.getBody());
    for (Value weight : weights)
      buffer(weight);
    for (Operation *op : initOps)
      if (failed(instruction(op, /*init=*/true)))
        return failure();
    for (Operation *op : runOps)
      if (failed(instruction(op, /*init=*/false)))
        return failure();
    return ports();
  }

  /// Declares a buffer after those declared before.
  rt::BufferOp declare(Location loc, RankedTensorType type, rt::Space space, int64_t offset,
                       nn::ExternalAttr source = {}) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(builder.getBlock());
    if (lastBuffer)
      builder.setInsertionPointAfter(lastBuffer);
    auto op = rt::BufferOp::create(builder, loc, rt::BufferType::get(type.getContext(), type), space, offset, source,
                                   nullptr, nullptr, nullptr);
    lastBuffer = op;
    return op;
  }

  /// A weight's bytes in its file, seen as `type`.
  Value sourceBuffer(nn::WeightOp weight, RankedTensorType type) {
    Value &known = sourceBuffers[{weight.getResult(), type}];
    if (!known)
      known = declare(weight.getLoc(), type, rt::Space::Source, 0, weight.getSource());
    return known;
  }

  /// The rt.buffer of a value: one per storage and type.
  Value buffer(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    Storage &storage = storageOf(value);
    Value &known = buffers[{storage.root, type}];
    if (known)
      return known;
    auto op = declare(storage.root.getLoc(), type, storage.space, storage.offset);
    if (auto constant = storage.root.getDefiningOp<nn::ConstantOp>())
      op.setValueAttr(constant.getValueAttr());
    if (auto index = storage.root.getDefiningOp<coll::IndexOp>()) {
      op.setIndexAxesAttr(index.getAxes());
      op.setIndexScaleAttr(builder.getI64IntegerAttr(index.getScale()));
    }
    return known = op.getResult();
  }

  SmallVector<Value> buffersOf(ValueRange values) {
    return llvm::map_to_vector(values, [&](Value value) { return buffer(value); });
  }

  /// Init instructions read weights where they are in their file.
  SmallVector<Value> readsOf(Operation *op, bool init) {
    return llvm::map_to_vector(op->getOperands(), [&](Value value) {
      auto weight = storageOf(value).root.getDefiningOp<nn::WeightOp>();
      return init && weight ? sourceBuffer(weight, cast<RankedTensorType>(value.getType())) : buffer(value);
    });
  }

  LogicalResult instruction(Operation *op, bool init) {
    SmallVector<Value> reads = readsOf(op, init), writes = buffersOf(op->getResults());
    Operation *made =
        TypeSwitch<Operation *, Operation *>(op)
            .Case([&](func::CallOp call) -> Operation * {
              return rt::KernelOp::create(builder, op->getLoc(), reads, writes, call.getCallee(), init, 0, nullptr,
                                          nullptr);
            })
            .Case([&](nn::WeightOp weight) -> Operation * {
              return rt::CopyOp::create(builder, op->getLoc(),
                                        ValueRange{sourceBuffer(weight, cast<RankedTensorType>(weight.getType()))},
                                        writes, init, 0, nullptr, nullptr);
            })
            .Case([&](coll::SendOp send) -> Operation * {
              return rt::SendOp::create(builder, op->getLoc(), reads, writes, send.getDistance(), send.getTag(),
                                        send.getGlobalAttr(), send.getShardingAttr(), /*init=*/false, /*stream=*/0,
                                        nullptr, nullptr);
            })
            .Case([&](coll::RecvOp recv) -> Operation * {
              return rt::RecvOp::create(builder, op->getLoc(), reads, writes, recv.getDistance(), recv.getTag(),
                                        recv.getGlobalAttr(), recv.getShardingAttr(), /*init=*/false, /*stream=*/0,
                                        nullptr, nullptr);
            })
            .Default([&](Operation *other) -> Operation * { return collective(other, reads, writes); });
    if (!made)
      return op->emitOpError("cannot be an instruction: it is neither in a kernel nor a collective");
    if (Attribute microbatch = microbatchOf(op))
      made->setAttr(shd::kMicrobatchAttr, microbatch);
    return success();
  }

  Operation *collective(Operation *op, ValueRange reads, ValueRange writes) {
    auto create = [&](rt::CollectiveKind kind, ArrayAttr axes) {
      return rt::CollectiveOp::create(builder, op->getLoc(), reads, writes, kind, axes, shd::ReduceKind::Sum, /*dim=*/0,
                                      /*split_dim=*/0, /*low=*/0, /*high=*/0, llvm::APFloat(0.0), nullptr,
                                      /*experts=*/0, /*init=*/false, /*stream=*/0, nullptr, nullptr);
    };
    return TypeSwitch<Operation *, Operation *>(op)
        .Case([&](coll::AllReduceOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::AllReduce, c.getAxes());
          made.setReduce(c.getReduce());
          return made;
        })
        .Case([&](coll::AllGatherOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::AllGather, c.getAxes());
          made.setDim(c.getDim());
          return made;
        })
        .Case([&](coll::ReduceScatterOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::ReduceScatter, c.getAxes());
          made.setReduce(c.getReduce());
          made.setDim(c.getDim());
          return made;
        })
        .Case([&](coll::AllToAllOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::AllToAll, c.getAxes());
          made.setDim(c.getConcatDim());
          made.setSplitDim(c.getSplitDim());
          return made;
        })
        .Case([&](coll::PermuteOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::Permute, c.getAxes());
          made.setPermutation(c.getSources());
          return made;
        })
        .Case([&](coll::HaloOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::Halo, c.getAxes());
          made.setDim(c.getDim());
          made.setLow(c.getLow());
          made.setHigh(c.getHigh());
          made.setPadAttr(c.getValueAttr());
          return made;
        })
        .Case([&](coll::DispatchOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::Dispatch, c.getAxes());
          made.setExperts(c.getExperts());
          return made;
        })
        .Case([&](coll::CombineOp c) -> Operation * {
          auto made = create(rt::CollectiveKind::Combine, c.getAxes());
          made.setExperts(c.getExperts());
          return made;
        })
        .Default([](Operation *) -> Operation * { return nullptr; });
  }

  LogicalResult ports() {
    for (BlockArgument argument : main.getArguments())
      if (failed(port(main.getArgAttrDict(argument.getArgNumber()), argument, argument.getArgNumber(), false)))
        return failure();
    for (auto [i, value] : llvm::enumerate(main.getBody().front().getTerminator()->getOperands()))
      if (failed(port(main.getResultAttrDict(i), value, i, true)))
        return failure();
    return success();
  }

  LogicalResult port(DictionaryAttr attrs, Value value, int64_t number, bool output) {
    auto name = attrs ? attrs.getAs<StringAttr>("nn.name") : StringAttr();
    auto sharding = attrs ? attrs.getAs<shd::ShardingAttr>(shd::kShardingAttr) : shd::ShardingAttr();
    auto global = attrs ? attrs.getAs<TypeAttr>("nn.global") : TypeAttr();
    if (!name || !sharding || !global)
      return main.emitError(
          "an argument or result lacks nn.name, nn.global or shd.sharding: partition the module first");
    auto position = attrs.getAs<IntegerAttr>(shd::kPositionAttr);
    auto port =
        rt::PortOp::create(builder, main.getLoc(), name, output ? builder.getUnitAttr() : UnitAttr(), buffer(value),
                           global, sharding, position ? position : builder.getI64IntegerAttr(number));
    if (auto part = attrs.getAs<IntegerAttr>(shd::kPartAttr)) {
      port.setPartAttr(part);
      port.setPartsAttr(builder.getI64IntegerAttr(microbatches));
      port.setDimAttr(attrs.getAs<IntegerAttr>(shd::kBatchDimAttr));
    }
    return success();
  }

  func::FuncOp main;
  OpBuilder builder;
  int64_t microbatches;
  bool streams;
  std::deque<Storage> storages;
  DenseMap<Value, size_t> storageIndex;
  DenseSet<Value> initValues, held;
  DenseSet<Operation *> made;
  SmallVector<Operation *> initOps, runOps;
  SmallVector<Value> weights;
  int64_t numWeights = 0;
  DenseMap<std::pair<Value, Type>, Value> buffers, sourceBuffers;
  Operation *lastBuffer = nullptr;
};

struct BuildProgramPass : impl::BuildProgramBase<BuildProgramPass> {
  using BuildProgramBase::BuildProgramBase;

  void runOnOperation() override {
    SmallVector<func::FuncOp> programs = rt::getProgramFunctions(getOperation());
    if (programs.empty()) {
      getOperation().emitError("no function @main");
      return signalPassFailure();
    }
    for (func::FuncOp program : programs) {
      if (failed(ProgramBuilder(program, shd::getMicrobatches(getOperation()), streams).build()))
        return signalPassFailure();
      program.erase();
    }
  }
};

} // namespace
} // namespace mpopt::schedule
