#include "Partitioner.h"
#include "mlir/IR/IRMapping.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Partition/Passes.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace mpopt;

namespace mpopt::partition {
#define GEN_PASS_DEF_SPLITSTAGES
#include "mpopt/Partition/Passes.h.inc"

namespace {

int64_t sizeOf(Value value) { return cast<RankedTensorType>(value.getType()).getNumElements(); }

class StageSplitter {
public:
  StageSplitter(func::FuncOp main, int64_t stages) : main(main), builder(main.getContext()), stages(stages) {}

  void run() {
    for (Operation &op : body().without_terminator())
      if (!initTime.add(&op))
        stageOf[&op] = findStage(&op);
    findMessages();
    for (int64_t stage = 0; stage < stages; ++stage)
      build(stage);
    main.erase();
  }

private:
  /// Of a value that every stage computes or is given.
  static constexpr int64_t kAny = -1;

  Block &body() { return main.getBody().front(); }
  Operation *terminator() { return body().getTerminator(); }

  int64_t stageOfValue(Value value) {
    Operation *op = value.getDefiningOp();
    auto found = op ? stageOf.find(op) : stageOf.end();
    return found == stageOf.end() ? kAny : found->second;
  }

  int64_t findStage(Operation *op) {
    int64_t earliest = kAny;
    for (Value operand : op->getOperands())
      earliest = std::max(earliest, stageOfValue(operand));
    auto marked = op->getAttrOfType<IntegerAttr>(shd::kStageAttr);
    if (!marked)
      return earliest;
    bool shrinks =
        isa<coll::SliceOp, coll::ReduceScatterOp>(op) && sizeOf(op->getResult(0)) < sizeOf(op->getOperand(0));
    return shrinks && earliest != kAny ? earliest : std::max(earliest, marked.getInt());
  }

  /// What each stage is sent: values in the order of the program, each with its tag.
  void findMessages() {
    received.resize(stages);
    for (Operation &op : body().without_terminator()) {
      auto stage = stageOf.find(&op);
      if (stage == stageOf.end() || stage->second == kAny)
        continue;
      for (Value operand : op.getOperands())
        if (int64_t from = stageOfValue(operand); from != kAny && from != stage->second)
          if (received[stage->second].try_emplace(operand, numTags).second)
            ++numTags;
    }
  }

  /// The operations that a stage computes: its own and, of those that belong to no stage, what they are made from.
  DenseSet<Operation *> operationsOf(int64_t stage) {
    DenseSet<Operation *> ops;
    auto need = [&](auto &need, Value value) -> void {
      Operation *op = value.getDefiningOp();
      if (!op || stageOfValue(value) != kAny || !ops.insert(op).second)
        return;
      for (Value operand : op->getOperands())
        need(need, operand);
    };
    for (auto [op, of] : stageOf)
      if (of == stage) {
        ops.insert(op);
        for (Value operand : op->getOperands())
          need(need, operand);
      }
    for (Value result : terminator()->getOperands())
      if (resultStage(result) == stage)
        need(need, result);
    return ops;
  }

  int64_t resultStage(Value result) { return std::max<int64_t>(0, stageOfValue(result)); }

  void build(int64_t stage) {
    DenseSet<Operation *> ops = operationsOf(stage);
    builder.setInsertionPoint(main);
    auto function =
        func::FuncOp::create(builder, main.getLoc(), ("stage_" + Twine(stage)).str(), builder.getFunctionType({}, {}));
    function->setAttr(shd::kStageAttr, builder.getI64IntegerAttr(stage));
    Block *block = function.addEntryBlock();
    builder.setInsertionPointToStart(block);
    IRMapping mapping;
    addArguments(function, stage, ops, mapping);
    for (Operation &op : body().without_terminator()) {
      if (!ops.contains(&op))
        continue;
      for (Value operand : op.getOperands())
        receive(operand, stage, mapping);
      builder.clone(op, mapping)->removeAttr(shd::kStageAttr);
      if (stageOfValue(op.getResult(0)) == stage)
        for (Value result : op.getResults())
          send(result, stage, mapping);
    }
    addResults(function, stage, mapping);
  }

  DictionaryAttr placed(DictionaryAttr attrs, unsigned position) {
    NamedAttrList list(attrs);
    list.set(shd::kPositionAttr, builder.getI64IntegerAttr(position));
    return list.getDictionary(builder.getContext());
  }

  /// An input that no stage uses is given to the first.
  void addArguments(func::FuncOp function, int64_t stage, const DenseSet<Operation *> &ops, IRMapping &mapping) {
    for (BlockArgument argument : main.getArguments()) {
      bool used = llvm::any_of(argument.getUsers(), [&](Operation *user) {
        return ops.contains(user) || (user == terminator() && stage == 0);
      });
      if (!used && !(stage == 0 && argument.use_empty()))
        continue;
      unsigned number = function.getNumArguments();
      (void)function.insertArgument(number, argument.getType(),
                                    placed(main.getArgAttrDict(argument.getArgNumber()), argument.getArgNumber()),
                                    argument.getLoc());
      mapping.map(argument, function.getArgument(number));
    }
  }

  void addResults(func::FuncOp function, int64_t stage, IRMapping &mapping) {
    SmallVector<Value> results;
    for (auto [position, result] : llvm::enumerate(terminator()->getOperands())) {
      if (resultStage(result) != stage)
        continue;
      (void)function.insertResult(results.size(), result.getType(), placed(main.getResultAttrDict(position), position));
      results.push_back(mapping.lookup(result));
    }
    func::ReturnOp::create(builder, terminator()->getLoc(), results);
  }

  void receive(Value value, int64_t stage, IRMapping &mapping) {
    auto found = received[stage].find(value);
    if (found == received[stage].end() || mapping.contains(value))
      return;
    auto op = coll::RecvOp::create(builder, value.getLoc(), value.getType(),
                                   static_cast<uint64_t>(stage - stageOfValue(value)), found->second, nullptr, nullptr,
                                   nullptr);
    mapping.map(value, op.getResult());
  }

  void send(Value value, int64_t stage, IRMapping &mapping) {
    for (int64_t other = stage + 1; other < stages; ++other)
      if (auto found = received[other].find(value); found != received[other].end())
        coll::SendOp::create(builder, value.getLoc(), mapping.lookup(value), static_cast<uint64_t>(other - stage),
                             found->second, nullptr, nullptr, nullptr);
  }

  func::FuncOp main;
  OpBuilder builder;
  int64_t stages;
  InitTimeValues initTime;
  llvm::MapVector<Operation *, int64_t> stageOf;   // of run-time operations
  std::vector<DenseMap<Value, uint64_t>> received; // by stage: tags
  uint64_t numTags = 0;
};

struct SplitStagesPass : impl::SplitStagesBase<SplitStagesPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    int64_t stages = shd::getStages(module);
    if (stages == 1)
      return;
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main && !getPlannedFunctions(module).empty())
      return; // it has been split before it was planned
    if (!main || !llvm::hasSingleElement(main.getBody())) {
      module.emitError() << "needs a function @main of one block to be split into stages";
      return signalPassFailure();
    }
    bool bad = false;
    main.walk([&](Operation *op) {
      auto stage = op->getAttrOfType<IntegerAttr>(shd::kStageAttr);
      if (!bad && stage && (stage.getInt() < 0 || stage.getInt() >= stages)) {
        op->emitError() << "is in stage " << stage.getInt() << " of " << stages;
        bad = true;
      }
    });
    if (bad)
      return signalPassFailure();
    StageSplitter(main, stages).run();
  }
};

} // namespace
} // namespace mpopt::partition
