#include "InitTime.h"
#include "mlir/IR/IRMapping.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/RT/Programs.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Schedule/Passes.h"

using namespace mlir;

namespace mpopt::schedule {
#define GEN_PASS_DEF_UNROLLMICROBATCHES
#include "mpopt/Schedule/Passes.h.inc"

namespace {

class Unroller {
public:
  Unroller(func::FuncOp program, int64_t count) : program(program), builder(program.getContext()), count(count) {}

  void run() {
    DenseSet<Value> initValues = classify(program).initValues;
    SmallVector<Operation *> ops;
    for (Operation &op : body().without_terminator())
      if (op.getNumResults() == 0 || !initValues.contains(op.getResult(0)))
        ops.push_back(&op);
    mappings.resize(count);
    splitArguments();
    for (Operation *op : ops)
      number(op, 0);
    builder.setInsertionPoint(body().getTerminator());
    for (int64_t microbatch = 1; microbatch < count; ++microbatch)
      for (Operation *op : ops)
        number(builder.clone(*op, mappings[microbatch]), microbatch);
    splitResults();
  }

private:
  Block &body() { return program.getBody().front(); }

  DictionaryAttr part(DictionaryAttr attrs, int64_t microbatch) {
    NamedAttrList list(attrs);
    list.set(shd::kPartAttr, builder.getI64IntegerAttr(microbatch));
    return list.getDictionary(builder.getContext());
  }

  /// An argument that holds a part of the batch becomes one per microbatch, side by side.
  void splitArguments() {
    for (unsigned number = 0; number < program.getNumArguments(); ++number)
      if (!program.getArgAttr(number, shd::kPositionAttr))
        program.setArgAttr(number, shd::kPositionAttr, builder.getI64IntegerAttr(number));
    for (unsigned number = 0; number < program.getNumArguments(); ++number) {
      BlockArgument argument = program.getArgument(number);
      if (!program.getArgAttr(number, shd::kBatchDimAttr))
        continue;
      DictionaryAttr attrs = program.getArgAttrDict(number);
      program.setArgAttr(number, shd::kPartAttr, builder.getI64IntegerAttr(0));
      for (int64_t microbatch = 1; microbatch < count; ++microbatch) {
        (void)program.insertArgument(number + microbatch, argument.getType(), part(attrs, microbatch),
                                     argument.getLoc());
        mappings[microbatch].map(argument, program.getArgument(number + microbatch));
      }
      number += count - 1;
    }
  }

  /// Says which microbatch an operation is for. Each has messages of its own. (The tag still tells the value's: tag / count.)
  void number(Operation *op, int64_t microbatch) {
    auto set = [&](auto message) {
      uint64_t value = message.getMicrobatch() ? message.getTag() / count : message.getTag();
      message.setTag(value * count + microbatch);
      message.setMicrobatch(microbatch);
    };
    if (auto send = dyn_cast<coll::SendOp>(op))
      set(send);
    else if (auto recv = dyn_cast<coll::RecvOp>(op))
      set(recv);
    else
      op->setAttr(shd::kMicrobatchAttr, builder.getI64IntegerAttr(microbatch));
  }

  void splitResults() {
    for (unsigned number = 0; number < program.getNumResults(); ++number)
      if (!program.getResultAttr(number, shd::kPositionAttr))
        program.setResultAttr(number, shd::kPositionAttr, builder.getI64IntegerAttr(number));
    Operation *terminator = body().getTerminator();
    SmallVector<Value> results(terminator->getOperands());
    SmallVector<Value> all;
    for (unsigned number = 0, old = 0; old < results.size(); ++old, ++number) {
      all.push_back(results[old]);
      if (!program.getResultAttr(number, shd::kBatchDimAttr))
        continue;
      DictionaryAttr attrs = program.getResultAttrDict(number);
      program.setResultAttr(number, shd::kPartAttr, builder.getI64IntegerAttr(0));
      for (int64_t microbatch = 1; microbatch < count; ++microbatch) {
        (void)program.insertResult(number + microbatch, results[old].getType(), part(attrs, microbatch));
        all.push_back(mappings[microbatch].lookupOrDefault(results[old]));
      }
      number += count - 1;
    }
    terminator->setOperands(all);
  }

  func::FuncOp program;
  OpBuilder builder;
  int64_t count;
  SmallVector<IRMapping> mappings; // of the first microbatch's values to the others'
};

struct UnrollMicrobatchesPass : impl::UnrollMicrobatchesBase<UnrollMicrobatchesPass> {
  void runOnOperation() override {
    int64_t count = shd::getMicrobatches(getOperation());
    if (count == 1)
      return;
    for (func::FuncOp program : rt::getProgramFunctions(getOperation())) {
      if (!llvm::hasSingleElement(program.getBody())) {
        program.emitError("a program must be one block");
        return signalPassFailure();
      }
      Unroller(program, count).run();
    }
  }
};

} // namespace
} // namespace mpopt::schedule
