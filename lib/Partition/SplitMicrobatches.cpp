#include "Partitioner.h"
#include "mlir/IR/IRMapping.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Partition/Passes.h"
#include <cstring>

using namespace mlir;
using namespace mpopt;

namespace mpopt::partition {
#define GEN_PASS_DEF_SPLITMICROBATCHES
#include "mpopt/Partition/Passes.h.inc"

namespace {

constexpr StringLiteral kTimeMesh = "time";

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The axes of a mesh whose devices are the microbatches: one per prime factor of their number.
shd::MeshAttr timeMesh(MLIRContext *context, int64_t count) {
  SmallVector<shd::MeshAxisAttr> axes;
  for (int64_t prime = 2; count > 1; ++prime)
    for (; count % prime == 0; count /= prime)
      axes.push_back(shd::MeshAxisAttr::get(context, StringAttr::get(context, "t" + Twine(axes.size())), prime, 0));
  return shd::MeshAttr::get(context, axes);
}

class MicrobatchSplitter {
public:
  MicrobatchSplitter(func::FuncOp main, int64_t count, const WeightReader &read)
      : main(main), read(read), builder(main.getContext()), count(count), mesh(timeMesh(main.getContext(), count)) {
    for (shd::MeshAxisAttr axis : mesh.getAxes())
      axes.push_back(axis.getName());
  }

  LogicalResult run() {
    if (failed(seed()) || failed(propagate()))
      return failure();
    func::FuncOp split = makeFunction();
    if (failed(build()) || failed(checkApart(split))) {
      split.erase();
      return failure();
    }
    finish(split);
    return success();
  }

private:
  Block &body() { return main.getBody().front(); }
  InFlightDiagnostic refuse(Operation *op) {
    return op->emitError() << "the batch cannot be split into " << count << " microbatches: ";
  }

  //===--------------------------------------------------------------------===//
  // Which dimensions are the batch
  //===--------------------------------------------------------------------===//

  /// Dimension 0 of the inputs, where it has the size that the first input's has.
  LogicalResult seed() {
    int64_t batch = -1;
    for (BlockArgument argument : main.getArguments()) {
      if (typeOf(argument).getRank() == 0)
        continue;
      if (batch < 0)
        batch = typeOf(argument).getDimSize(0);
      if (typeOf(argument).getDimSize(0) == batch)
        dimOf[argument] = 0;
    }
    if (batch < 0)
      return refuse(main) << "the model has no input with a batch; leave mb out";
    if (batch % count != 0)
      return refuse(main) << "it has " << batch << (batch == 1 ? " row" : " rows")
                          << "; choose a divisor of that for mb";
    return success();
  }

  /// Follows the batch through all operators, forwards and backwards, until nothing is new.
  LogicalResult propagate() {
    SmallVector<Operation *> ops;
    InitTimeValues values;
    for (Operation &op : body().without_terminator())
      if (!values.add(&op))
        ops.push_back(&op);
    for (bool changed = true; changed;) {
      changed = false;
      for (Operation *op : ops)
        if (failed(visit(op, changed)))
          return failure();
      for (Operation *op : llvm::reverse(ops))
        if (failed(visit(op, changed)))
          return failure();
    }
    return success();
  }

  LogicalResult visit(Operation *op, bool &changed) {
    auto ruled = dyn_cast<shd::PartitionInterface>(op);
    auto isSplit = [&](Value value) { return dimOf.contains(value); };
    if (!ruled || (llvm::none_of(op->getOperands(), isSplit) && llvm::none_of(op->getResults(), isSplit)))
      return success();
    auto [rule, isNew] = rules.try_emplace(op);
    if (isNew)
      rule->second = ruled.getPartitionRule();
    FailureOr<unsigned> factor = factorOf(op, rule->second);
    if (failed(factor))
      return failure();
    auto note = [&](ValueRange values, ArrayRef<shd::PartitionRule::TensorDims> tensors) -> LogicalResult {
      for (auto [value, dims] : llvm::zip_equal(values, tensors))
        if (!nn::isInitTime(value))
          for (auto [d, factors] : llvm::enumerate(dims))
            if (llvm::is_contained(factors, *factor)) {
              auto [known, added] = dimOf.try_emplace(value, d);
              changed |= added;
              if (factors.front() != *factor || known->second != d)
                return refuse(op) << op->getName() << " does not keep its rows in one dimension";
            }
      return success();
    };
    return success(succeeded(note(op->getOperands(), rule->second.operandDims)) &&
                   succeeded(note(op->getResults(), rule->second.resultDims)));
  }

  /// The one factor that the batch is to an operator.
  FailureOr<unsigned> factorOf(Operation *op, const shd::PartitionRule &rule) {
    std::optional<unsigned> found;
    bool several = false;
    auto look = [&](ValueRange values, ArrayRef<shd::PartitionRule::TensorDims> tensors) {
      for (auto [value, dims] : llvm::zip_equal(values, tensors))
        if (auto known = dimOf.find(value); known != dimOf.end()) {
          ArrayRef<unsigned> factors = dims[known->second];
          several |= factors.empty() || (found && *found != factors.front());
          if (!factors.empty())
            found = factors.front();
        }
    };
    look(op->getOperands(), rule.operandDims);
    look(op->getResults(), rule.resultDims);
    if (several || !found)
      return refuse(op) << op->getName() << " mixes rows of the batch";
    const shd::Factor &factor = rule.factors[*found];
    if (factor.kind != shd::FactorKind::Parallel)
      return refuse(op) << op->getName() << (factor.kind == shd::FactorKind::Reduce ? " reduces over" : " needs all of")
                        << " the batch at once";
    if (factor.size % count != 0)
      return refuse(op) << op->getName() << " has " << factor.size << " parts of it";
    return *found;
  }

  //===--------------------------------------------------------------------===//
  // The program of one microbatch
  //===--------------------------------------------------------------------===//

  RankedTensorType localType(Value value) {
    auto dim = dimOf.find(value);
    if (dim == dimOf.end())
      return typeOf(value);
    SmallVector<int64_t> shape(typeOf(value).getShape());
    shape[dim->second] /= count;
    return RankedTensorType::get(shape, typeOf(value).getElementType());
  }

  func::FuncOp makeFunction() {
    SmallVector<Type> inputs, results;
    for (Value argument : main.getArguments())
      inputs.push_back(localType(argument));
    for (Value result : body().getTerminator()->getOperands())
      results.push_back(localType(result));
    builder.setInsertionPoint(main);
    auto split = cast<func::FuncOp>(builder.cloneWithoutRegions(*main));
    split.setFunctionType(builder.getFunctionType(inputs, results));
    builder.setInsertionPointToStart(split.addEntryBlock());
    for (auto [was, is] : llvm::zip_equal(main.getArguments(), split.getArguments())) {
      is.setLoc(was.getLoc());
      locals.map(was, is);
      if (auto dim = dimOf.find(was); dim != dimOf.end())
        split.setArgAttr(is.getArgNumber(), shd::kBatchDimAttr, builder.getI64IntegerAttr(dim->second));
    }
    for (auto [number, result] : llvm::enumerate(body().getTerminator()->getOperands()))
      if (auto dim = dimOf.find(result); dim != dimOf.end())
        split.setResultAttr(number, shd::kBatchDimAttr, builder.getI64IntegerAttr(dim->second));
    return split;
  }

  LogicalResult build() {
    for (Operation &op : body()) {
      auto rule = rules.find(&op);
      if (rule == rules.end()) {
        builder.clone(op, locals);
        continue;
      }
      FailureOr<SmallVector<Value>> results = buildSplit(&op, rule->second, *factorOf(&op, rule->second));
      if (failed(results))
        return failure();
      for (auto [was, is] : llvm::zip_equal(op.getResults(), *results)) {
        if (is.getType() != localType(was))
          return refuse(&op) << op.getName() << " cannot be built for one microbatch";
        locals.map(was, is);
      }
    }
    return success();
  }

  FailureOr<SmallVector<Value>> buildSplit(Operation *op, shd::PartitionRule rule, unsigned factor) {
    shd::LocalContext context;
    context.meshName = FlatSymbolRefAttr::get(main.getContext(), kTimeMesh);
    context.mesh = mesh;
    context.strategy.axes.resize(rule.factors.size());
    context.strategy.axes[factor] = axes;
    context.rule = std::move(rule);
    auto shardings = shd::getShardings(context.rule, context.strategy, context.meshName, mesh);
    if (failed(shardings))
      return refuse(op) << op->getName() << " cannot be split so";
    context.shardings = *shardings;
    SmallVector<Value> operands;
    for (auto [operand, dims] : llvm::zip_equal(op->getOperands(), context.rule.operandDims)) {
      const auto *dim = llvm::find_if(dims, [&](const auto &parts) { return llvm::is_contained(parts, factor); });
      FailureOr<Value> local = dim == dims.end() || !nn::isInitTime(operand)
                                   ? FailureOr<Value>(locals.lookup(operand))
                                   : sliceKnown(operand, dim - dims.begin(), op);
      if (failed(local))
        return failure();
      operands.push_back(*local);
    }
    FailureOr<SmallVector<Value>> results = cast<shd::PartitionInterface>(op).buildLocal(builder, operands, context);
    if (failed(results))
      return refuse(op) << op->getName() << " cannot be built for one microbatch";
    return results;
  }

  /// The part of an init-time value that belongs to one microbatch. It must be the same for all.
  FailureOr<Value> sliceKnown(Value value, unsigned dim, Operation *user) {
    if (Value known = slices.lookup({value, dim}))
      return known;
    Operation *op = value.getDefiningOp();
    FailureOr<Value> made = failure();
    if (auto constant = dyn_cast<nn::ConstantOp>(op))
      made = sliceConstant(constant, dim, user);
    else if (auto weight = dyn_cast<nn::WeightOp>(op))
      made = sliceWeight(weight, dim, user);
    else if (auto ruled = dyn_cast<shd::PartitionInterface>(op); ruled && op->getNumOperands() > 0) {
      shd::PartitionRule rule = ruled.getPartitionRule();
      unsigned result = cast<OpResult>(value).getResultNumber();
      ArrayRef<unsigned> factors = rule.resultDims[result][dim];
      if (factors.empty() || rule.factors[factors.front()].kind != shd::FactorKind::Parallel ||
          rule.factors[factors.front()].size % count != 0)
        return differs(value, user);
      FailureOr<SmallVector<Value>> results = buildSplit(op, rule, factors.front());
      if (failed(results))
        return failure();
      made = (*results)[result];
    } else {
      return differs(value, user);
    }
    if (succeeded(made))
      slices[{value, dim}] = *made;
    return made;
  }

  FailureOr<Value> differs(Value value, Operation *user) {
    return refuse(user) << "its rows are computed with a constant (" << value.getDefiningOp()->getName()
                        << ") that may differ between them; leave mb out, or export the model with an open batch";
  }

  /// Exporters fold what is computed from weights alone, such as positions that are added to each row of the batch.
  FailureOr<Value> sliceWeight(nn::WeightOp op, unsigned dim, Operation *user) {
    RankedTensorType type = typeOf(op.getResult());
    nn::ExternalAttr source = op.getSource();
    const char *bytes = read ? read(source) : nullptr;
    if (!bytes)
      return refuse(user) << "its rows are computed with weight '" << op.getName()
                          << "', which has a row for each, and whether these are alike cannot be seen without its "
                             "file; put the model's external data beside the model, or "
                             "leave mb out";
    uint64_t outer = 1;
    for (int64_t size : type.getShape().take_front(dim))
      outer *= size;
    if (outer == 0 || source.getLength() % (outer * count) != 0)
      return differs(op.getResult(), user);
    uint64_t inner = source.getLength() / outer, part = inner / count;
    for (uint64_t row = 0; row < outer; ++row)
      for (int64_t i = 1; i < count; ++i)
        if (std::memcmp(bytes + row * inner, bytes + row * inner + i * part, part) != 0)
          return differs(op.getResult(), user);
    SmallVector<int64_t> shape(type.getShape());
    shape[dim] /= count;
    if (outer == 1) {
      auto first = nn::ExternalAttr::get(main.getContext(), source.getFile(), source.getOffset(), part);
      return nn::WeightOp::create(builder, op.getLoc(), type.clone(shape), op.getNameAttr(), first).getResult();
    }
    SmallVector<int64_t> starts(shape.size(), 0), steps(shape.size(), 1);
    return nn::SliceOp::create(builder, op.getLoc(), type.clone(shape), locals.lookup(op.getResult()),
                               builder.getDenseI64ArrayAttr(starts), builder.getDenseI64ArrayAttr(shape),
                               builder.getDenseI64ArrayAttr(steps))
        .getResult();
  }

  FailureOr<Value> sliceConstant(nn::ConstantOp op, unsigned dim, Operation *user) {
    RankedTensorType type = typeOf(op.getResult());
    SmallVector<int64_t> shape(type.getShape());
    shape[dim] /= count;
    auto local = RankedTensorType::get(shape, type.getElementType());
    auto values = dyn_cast<DenseElementsAttr>(op.getValueAttr());
    if (!values)
      return differs(op.getResult(), user);
    if (values.isSplat())
      return nn::ConstantOp::create(builder, op.getLoc(), local, values.resizeSplat(local)).getResult();
    int64_t inner = 1, outer = 1;
    for (unsigned d = 0; d < type.getRank(); ++d)
      (d < dim ? outer : inner) *= type.getDimSize(d);
    SmallVector<Attribute> all = llvm::to_vector(values.getValues<Attribute>()), first;
    int64_t part = inner / count;
    for (int64_t row = 0; row < outer; ++row)
      for (int64_t i = 0; i < inner; ++i) {
        if (i < part)
          first.push_back(all[row * inner + i]);
        else if (all[row * inner + i] != all[row * inner + i % part])
          return differs(op.getResult(), user);
      }
    return nn::ConstantOp::create(builder, op.getLoc(), local, DenseElementsAttr::get(local, first)).getResult();
  }

  /// What asks for its place among the microbatches or for other microbatches' values shows as an operation over the axes of time.
  LogicalResult checkApart(func::FuncOp split) {
    WalkResult result = split.walk([&](Operation *op) {
      if (!isa<coll::CollDialect>(op->getDialect()))
        return WalkResult::advance();
      refuse(op) << "an operator needs other rows than its own (" << op->getName() << ")";
      return WalkResult::interrupt();
    });
    return failure(result.wasInterrupted());
  }

  /// Values known when the plan is made are cloned whole where they stand; those of which only slices are used go.
  void finish(func::FuncOp split) {
    main->getParentOfType<ModuleOp>()->setAttr(shd::kMicrobatchesAttr, builder.getI64IntegerAttr(count));
    main.erase();
    SmallVector<Operation *> ops;
    for (Operation &op : split.getBody().front().without_terminator())
      ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops))
      if (isOpTriviallyDead(op))
        op->erase();
  }

  func::FuncOp main;
  const WeightReader &read;
  OpBuilder builder;
  int64_t count;
  shd::MeshAttr mesh;
  SmallVector<StringAttr> axes;
  DenseMap<Value, unsigned> dimOf; // of run-time values: the dimension that is split
  DenseMap<Operation *, shd::PartitionRule> rules;
  IRMapping locals;
  DenseMap<std::pair<Value, unsigned>, Value> slices;
};

struct SplitMicrobatchesPass : impl::SplitMicrobatchesBase<SplitMicrobatchesPass> {
  using SplitMicrobatchesBase::SplitMicrobatchesBase;
  SplitMicrobatchesPass(int64_t microbatches, WeightReader read) : read(std::move(read)) { count = microbatches; }

  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || !llvm::hasSingleElement(main.getBody())) {
      getOperation().emitError() << "needs a function @main of one block";
      return signalPassFailure();
    }
    if (count > 1 && failed(MicrobatchSplitter(main, count, read).run()))
      signalPassFailure();
  }

private:
  WeightReader read;
};

} // namespace

std::unique_ptr<Pass> createSplitMicrobatches(int64_t count, WeightReader read) {
  return std::make_unique<SplitMicrobatchesPass>(count, std::move(read));
}

} // namespace mpopt::partition
