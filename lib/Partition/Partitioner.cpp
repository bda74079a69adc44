#include "Partitioner.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mpopt/Dialect/Coll/Coll.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::partition;
using shd::LocalContext;
using shd::ReshardStep;
using shd::ShardingAttr;

//===----------------------------------------------------------------------===//
// Reading the plan
//===----------------------------------------------------------------------===//

SmallVector<func::FuncOp> mpopt::partition::getPlannedFunctions(ModuleOp module) {
  if (auto main = module.lookupSymbol<func::FuncOp>("main"))
    return {main};
  return llvm::filter_to_vector(module.getOps<func::FuncOp>(),
                                [](func::FuncOp function) { return function->hasAttr(shd::kStageAttr); });
}

FailureOr<SmallVector<ShardingAttr>> mpopt::partition::readShardings(Operation *op, StringRef name, unsigned count) {
  auto array = op->getAttrOfType<ArrayAttr>(name);
  if (!array)
    return op->emitError() << "needs the attribute " << name << "; run planning first";
  SmallVector<ShardingAttr> shardings;
  for (Attribute attr : array)
    if (auto sharding = dyn_cast<ShardingAttr>(attr))
      shardings.push_back(sharding);
  if (shardings.size() != count || array.size() != count)
    return op->emitError() << name << " needs " << count << " shardings";
  return shardings;
}

FailureOr<LocalContext> mpopt::partition::readContext(shd::PartitionInterface op, shd::MeshOp mesh) {
  auto in = readShardings(op, shd::kInAttr, op->getNumOperands());
  if (failed(in))
    return failure();
  auto out = readShardings(op, shd::kOutAttr, op->getNumResults());
  if (failed(out))
    return failure();
  LocalContext context;
  context.meshName = FlatSymbolRefAttr::get(mesh.getSymNameAttr());
  context.mesh = mesh.getMesh();
  context.rule = op.getPartitionRule();
  auto strategy = shd::getStrategy(context.rule, *in, *out, context.mesh);
  if (failed(strategy))
    return op->emitError() << "shd.in and shd.out follow from no strategy of the operation's partition rule";
  context.strategy = *strategy;
  context.shardings = {*in, *out};
  return context;
}

bool InitTimeValues::add(Operation *op) {
  if (op->getNumRegions() || op->getNumResults() == 0 || !isPure(op) ||
      !llvm::all_of(op->getOperands(), [&](Value operand) { return values.contains(operand); }))
    return false;
  values.insert(op->result_begin(), op->result_end());
  return true;
}

//===----------------------------------------------------------------------===//
// Resharding
//===----------------------------------------------------------------------===//

Value mpopt::partition::buildStep(OpBuilder &builder, Location loc, Value value, const ReshardStep &step,
                                  ShardingAttr before, RankedTensorType global, shd::MeshAttr mesh) {
  Type type = step.after.getLocalType(global, mesh);
  StringRef name = before.getMesh().getValue();
  ArrayAttr axes = builder.getArrayAttr(SmallVector<Attribute>(step.axes.begin(), step.axes.end()));
  uint64_t dim = step.dim;
  switch (step.kind) {
  case ReshardStep::Slice:
    return coll::SliceOp::create(builder, loc, type, value, dim, name, axes);
  case ReshardStep::KeepFirst:
    return coll::KeepFirstOp::create(builder, loc, type, value, name, axes);
  case ReshardStep::AllGather:
    return coll::AllGatherOp::create(builder, loc, type, value, dim, name, axes);
  case ReshardStep::AllReduce:
    return coll::AllReduceOp::create(builder, loc, type, value, name, axes, before.getReduce());
  case ReshardStep::ReduceScatter:
    return coll::ReduceScatterOp::create(builder, loc, type, value, dim, name, axes, before.getReduce());
  case ReshardStep::AllToAll:
    return coll::AllToAllOp::create(builder, loc, type, value, /*split_dim=*/step.toDim, /*concat_dim=*/dim, name,
                                    axes);
  case ReshardStep::Permute:
    return coll::PermuteOp::create(builder, loc, type, value, step.sources, name, axes);
  }
  return value;
}

FailureOr<Value> Partitioner::reshard(Value value, ShardingAttr to, Operation *user) {
  auto type = cast<RankedTensorType>(value.getType());
  to = to.canonical(type.getShape(), mesh.getMesh());
  auto [found, isNew] = resharded.try_emplace({value, to});
  if (!isNew)
    return found->second;
  if (initTime.contains(value))
    return slice(value, to, user);
  auto way = findWay(value, to);
  if (failed(way))
    return user->emitError() << "there is no way from sharding " << locals.at(value).sharding << " to " << to;
  auto &[from, steps] = *way;
  Location loc = value.getDefiningOp() ? value.getLoc() : user->getLoc();
  for (const ReshardStep &step : steps) {
    from.value = buildStep(builder, loc, from.value, step, from.sharding, type, mesh.getMesh());
    from.sharding = step.after;
    copies[value].push_back(from);
  }
  return resharded[{value, to}] = from.value;
}

/// From the value as it was made or from the copy that is nearest: what has been gathered for one user is sliced for the next.
FailureOr<std::pair<Partitioner::Local, SmallVector<ReshardStep>>> Partitioner::findWay(Value value, ShardingAttr to) {
  auto type = cast<RankedTensorType>(value.getType());
  auto priceOf = [&](const ReshardStep &step, double in, double out) { return price(step, in, out, mesh.getMesh()); };
  auto bytes = [&](ShardingAttr sharding) {
    RankedTensorType local = sharding.getLocalType(type, mesh.getMesh());
    return local.getNumElements() * local.getElementTypeBitWidth() / 8.0;
  };
  FailureOr<std::pair<Local, SmallVector<ReshardStep>>> best = failure();
  double least = 0;
  SmallVector<Local, 4> sources{locals.at(value)};
  llvm::append_range(sources, copies.lookup(value));
  for (const Local &source : sources) {
    auto steps = shd::findReshard(source.sharding, to, type, mesh.getMesh(), priceOf);
    if (failed(steps))
      continue;
    double sum = 0;
    ShardingAttr before = source.sharding;
    for (const ReshardStep &step : *steps) {
      sum += priceOf(step, bytes(before), bytes(step.after));
      before = step.after;
    }
    if (succeeded(best) && sum >= least)
      continue;
    best = std::pair(source, *steps);
    least = sum;
  }
  return best;
}

/// Values known when the plan is made are whole on every device: each keeps its part.
FailureOr<Value> Partitioner::slice(Value value, ShardingAttr to, Operation *user) {
  if (!to.getUnreduced().empty() && to.getReduce() != shd::ReduceKind::Sum)
    return user->emitError() << "a constant cannot be partial under " << shd::stringifyReduceKind(to.getReduce());
  auto type = cast<RankedTensorType>(value.getType());
  Value part = locals.at(value).value;
  ShardingAttr now = ShardingAttr::replicated(to.getMesh(), type.getRank());
  auto apply = [&](ReshardStep::Kind kind, int64_t dim, ArrayRef<StringAttr> axes, ShardingAttr after) {
    ReshardStep step{kind, dim, 0, SmallVector<StringAttr>(axes), {}, after};
    part = buildStep(builder, value.getLoc(), part, step, now, type, mesh.getMesh());
    now = after;
  };
  SmallVector<shd::DimShardingAttr> dims(now.getDims());
  for (auto [d, dim] : llvm::enumerate(to.getDims())) {
    dims[d] = dim;
    if (!dim.getAxes().empty())
      apply(ReshardStep::Slice, static_cast<int64_t>(d), dim.getAxes(),
            ShardingAttr::get(to.getContext(), to.getMesh(), dims, {}, shd::ReduceKind::Sum));
  }
  if (!to.getUnreduced().empty())
    apply(ReshardStep::KeepFirst, 0, to.getUnreduced(), to);
  return resharded[{value, to}] = part;
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

/// Masks operand `t` along dimensions where padding would enter a reduction.
Value Partitioner::maskOperand(Value value, unsigned t, Operation *op, const LocalContext &context) {
  SmallVector<int64_t> splits = shd::getSplits(context.rule, context.strategy, context.mesh);
  SmallVector<int64_t> locals = shd::getLocalSizes(context.rule, context.strategy, context.mesh);
  for (auto [d, factors] : llvm::enumerate(context.rule.operandDims[t])) {
    bool padded = llvm::any_of(factors, [&](unsigned f) {
      const shd::Factor &factor = context.rule.factors[f];
      return factor.kind == shd::FactorKind::Reduce && locals[f] * splits[f] != factor.size;
    });
    if (!padded)
      continue;
    ArrayRef<StringAttr> axes = context.axesOf(t, d);
    double pad = t < context.rule.padValue.size() ? context.rule.padValue[t].value_or(0) : 0;
    value = coll::MaskPadOp::create(builder, op->getLoc(), value.getType(), value, static_cast<uint64_t>(d),
                                    cast<RankedTensorType>(op->getOperand(t).getType()).getDimSize(d), APFloat(pad),
                                    context.meshName.getValue(),
                                    builder.getArrayAttr(SmallVector<Attribute>(axes.begin(), axes.end())));
  }
  return value;
}

/// The same operation on every device, in the form that kernels have: operators made of others are taken apart.
LogicalResult Partitioner::buildWhole(Operation *op) {
  auto name = FlatSymbolRefAttr::get(mesh.getSymNameAttr());
  SmallVector<Value> operands, results;
  for (Value operand : op->getOperands())
    operands.push_back(locals.at(operand).value);
  auto ruled = dyn_cast<shd::PartitionInterface>(op);
  if (ruled && !operands.empty()) {
    LocalContext context{name, mesh.getMesh(), ruled.getPartitionRule(), {}, {}};
    context.strategy.axes.resize(context.rule.factors.size());
    auto shardings = shd::getShardings(context.rule, context.strategy, name, context.mesh);
    if (failed(shardings))
      return op->emitError() << "cannot be replicated";
    context.shardings = *shardings;
    FailureOr<SmallVector<Value>> built = ruled.buildLocal(builder, operands, context);
    if (failed(built))
      return op->emitError() << "cannot be built on whole shapes";
    results = *built;
  } else {
    IRMapping mapping;
    mapping.map(op->getOperands(), operands);
    Operation *whole = builder.clone(*op, mapping);
    whole->removeAttr(shd::kInAttr);
    whole->removeAttr(shd::kOutAttr);
    llvm::append_range(results, whole->getResults());
  }
  for (auto [was, is] : llvm::zip_equal(op->getResults(), results))
    locals[was] = {is, ShardingAttr::replicated(name, cast<RankedTensorType>(is.getType()).getRank())};
  return success();
}

/// The value as the receiving stage is to be told of it: not partial, and spread as planned.
LogicalResult Partitioner::convertSend(Operation *op) {
  auto send = cast<coll::SendOp>(op);
  auto in = readShardings(op, shd::kInAttr, 1);
  if (failed(in))
    return failure();
  FailureOr<Value> local = reshard(send.getInput(), in->front(), op);
  if (failed(local))
    return failure();
  coll::SendOp::create(builder, op->getLoc(), *local, send.getDistance(), send.getTag(), send.getMicrobatchAttr(),
                       TypeAttr::get(send.getInput().getType()), in->front());
  return success();
}

LogicalResult Partitioner::convertRecv(Operation *op) {
  auto recv = cast<coll::RecvOp>(op);
  auto out = readShardings(op, shd::kOutAttr, 1);
  if (failed(out))
    return failure();
  auto type = cast<RankedTensorType>(recv.getType());
  ShardingAttr sharding = out->front();
  auto local =
      coll::RecvOp::create(builder, op->getLoc(), sharding.getLocalType(type, mesh.getMesh()), recv.getDistance(),
                           recv.getTag(), recv.getMicrobatchAttr(), TypeAttr::get(type), sharding);
  locals[recv.getResult()] = {local.getResult(), sharding.canonical(type.getShape(), mesh.getMesh())};
  return success();
}

LogicalResult Partitioner::convert(Operation *op) {
  if (initTime.add(op))
    return buildWhole(op);
  if (isa<coll::SendOp>(op))
    return convertSend(op);
  if (isa<coll::RecvOp>(op))
    return convertRecv(op);
  auto ruled = dyn_cast<shd::PartitionInterface>(op);
  if (!ruled)
    return op->emitError() << "has no partition rule";
  FailureOr<LocalContext> context = readContext(ruled, mesh);
  if (failed(context))
    return failure();
  SmallVector<Value> operands;
  for (auto [t, operand] : llvm::enumerate(op->getOperands())) {
    FailureOr<Value> local = reshard(operand, context->shardings.in[t], op);
    if (failed(local))
      return failure();
    operands.push_back(maskOperand(*local, t, op, *context));
  }
  FailureOr<SmallVector<Value>> results = ruled.buildLocal(builder, operands, *context);
  if (failed(results))
    return op->emitError() << "cannot be built on local shapes";
  for (auto [t, result] : llvm::enumerate(op->getResults())) {
    auto type = cast<RankedTensorType>(result.getType());
    Type expected = context->shardings.out[t].getLocalType(type, context->mesh);
    if ((*results)[t].getType() != expected)
      return op->emitError() << "local result is " << (*results)[t].getType() << ", its sharding asks for " << expected;
    locals[result] = {(*results)[t], context->shardings.out[t].canonical(type.getShape(), context->mesh)};
  }
  return success();
}

LogicalResult Partitioner::convertReturn(func::ReturnOp op) {
  SmallVector<Value> results;
  for (auto [i, value] : llvm::enumerate(op.getOperands())) {
    auto sharding = global.getResultAttrOfType<ShardingAttr>(i, shd::kShardingAttr);
    FailureOr<Value> local = reshard(value, sharding, op);
    if (failed(local))
      return failure();
    results.push_back(*local);
  }
  func::ReturnOp::create(builder, op.getLoc(), results);
  return success();
}

/// The local type of an argument or result, or an error.
static FailureOr<Type> localType(func::FuncOp func, Type type, ShardingAttr sharding, shd::MeshOp mesh,
                                 const Twine &what) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape())
    return func.emitError() << what << " is not a tensor of static shape";
  if (!sharding || static_cast<int64_t>(sharding.getDims().size()) != tensor.getRank())
    return func.emitError() << what << " needs shd.sharding of rank " << tensor.getRank();
  if (!sharding.getUnreduced().empty())
    return func.emitError() << what << " is partial; only values inside of @main may be";
  return Type(sharding.getLocalType(tensor, mesh.getMesh()));
}

FailureOr<func::FuncOp> Partitioner::makeFunction() {
  SmallVector<Type> inputs, results;
  FunctionType type = global.getFunctionType();
  for (auto [i, input] : llvm::enumerate(type.getInputs())) {
    auto local = localType(global, input, global.getArgAttrOfType<ShardingAttr>(i, shd::kShardingAttr), mesh,
                           "argument " + Twine(i));
    if (failed(local))
      return failure();
    inputs.push_back(*local);
  }
  for (auto [i, result] : llvm::enumerate(type.getResults())) {
    auto local = localType(global, result, global.getResultAttrOfType<ShardingAttr>(i, shd::kShardingAttr), mesh,
                           "result " + Twine(i));
    if (failed(local))
      return failure();
    results.push_back(*local);
  }
  builder.setInsertionPoint(global);
  auto func = cast<func::FuncOp>(builder.cloneWithoutRegions(*global));
  func.setFunctionType(builder.getFunctionType(inputs, results));
  for (auto [i, input] : llvm::enumerate(type.getInputs()))
    func.setArgAttr(i, "nn.global", TypeAttr::get(input));
  for (auto [i, result] : llvm::enumerate(type.getResults()))
    func.setResultAttr(i, "nn.global", TypeAttr::get(result));
  builder.setInsertionPointToStart(func.addEntryBlock());
  return func;
}

LogicalResult Partitioner::run() {
  if (!global.getBody().hasOneBlock())
    return global.emitError() << "must have one block";
  FailureOr<func::FuncOp> func = makeFunction();
  if (failed(func))
    return failure();
  for (auto [was, is] : llvm::zip(global.getArguments(), func->getArguments())) {
    auto sharding = global.getArgAttrOfType<ShardingAttr>(was.getArgNumber(), shd::kShardingAttr);
    is.setLoc(was.getLoc());
    locals[was] = {is, sharding.canonical(cast<RankedTensorType>(was.getType()).getShape(), mesh.getMesh())};
  }
  for (Operation &op : global.getBody().front()) {
    auto terminator = dyn_cast<func::ReturnOp>(op);
    marker.stage = op.getAttr(shd::kStageAttr);
    if (failed(terminator ? convertReturn(terminator) : convert(&op))) {
      func->erase();
      return failure();
    }
  }
  global.erase();
  return success();
}
