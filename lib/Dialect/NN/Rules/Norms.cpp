// Rules of softmax and norms, and how they work when the dimension that they normalise is split.
#include "Rules.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;
using shd::FactorKind;
using shd::LocalContext;
using shd::OpWork;
using shd::PartitionRule;

constexpr double kInf = std::numeric_limits<double>::infinity();

/// Work of an operator that reduces along `dims` of its operand `times` times.
static OpWork reducingWork(Operation *op, const PartitionRule &rule, ArrayRef<int64_t> sizes, ArrayRef<int64_t> dims,
                           int times) {
  OpWork work = shd::defaultWork(op, rule, sizes);
  double bytes = work.bytesWritten;
  for (int64_t dim : dims)
    for (unsigned factor : rule.operandDims[0][dim])
      bytes /= sizes[factor];
  for (int64_t dim : dims)
    for (unsigned factor : rule.operandDims[0][dim])
      for (int i = 0; i < times; ++i)
        work.internal.push_back({OpWork::Internal::AllReduce, factor, bytes});
  work.flops *= 8;
  return work;
}

PartitionRule SoftmaxOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (int64_t d = 0, rank = typeOf(getInput()).getRank(); d < rank; ++d)
    builder.link({in(0, d), out(0, d)});
  return builder.rule;
}

OpWork SoftmaxOp::getLocalWork(ArrayRef<int64_t> sizes) {
  return reducingWork(*this, getPartitionRule(), sizes, {static_cast<int64_t>(getAxis())}, 2);
}

FailureOr<SmallVector<Value>> SoftmaxOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                    const LocalContext &context) {
  int64_t axis = getAxis();
  ArrayRef<StringAttr> axes = context.axesOf(0, axis);
  if (axes.empty())
    return shd::cloneLocal(*this, builder, operands, context);
  LocalBuilder local(builder, getLoc(), context);
  Type element = typeOf(operands[0]).getElementType();
  Value x = local.mask(operands[0], axis, typeOf(getInput()).getDimSize(axis), axes, -kInf);
  Value most = local.reduce(x, ReduceKind::Max, axis, axes);
  if (getSafe()) // a row of -inf: nothing is subtracted, and 0 / 1 results
    most =
        local.select(local.compare(Predicate::Eq, most, local.scalar(element, -kInf)), local.scalar(element, 0), most);
  Value shifted = local.binary<SubOp>(x, most);
  Value powers = local.unary<ExpOp>(shifted);
  Value sum = local.reduce(powers, ReduceKind::Sum, axis, axes);
  if (getLog())
    return SmallVector<Value>{local.binary<SubOp>(shifted, local.unary<LogOp>(sum))};
  if (getSafe())
    sum = local.select(local.compare(Predicate::Eq, sum, local.scalar(element, 0)), local.scalar(element, 1), sum);
  return SmallVector<Value>{local.binary<DivOp>(powers, sum)};
}

PartitionRule LayerNormOp::getPartitionRule() {
  RuleBuilder builder(*this);
  for (int64_t d = 0, rank = typeOf(getInput()).getRank(); d < rank; ++d)
    builder.link({in(0, d), out(0, d)});
  for (unsigned t = 1; t < getNumOperands(); ++t)
    builder.follow(t, getAxis());
  return builder.rule;
}

OpWork LayerNormOp::getLocalWork(ArrayRef<int64_t> sizes) {
  auto dims = llvm::to_vector(llvm::seq<int64_t>(getAxis(), typeOf(getInput()).getRank()));
  return reducingWork(*this, getPartitionRule(), sizes, dims, getRms() ? 1 : 2);
}

FailureOr<SmallVector<Value>> LayerNormOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                      const LocalContext &context) {
  auto dims = llvm::to_vector(llvm::seq<int64_t>(getAxis(), typeOf(getInput()).getRank()));
  SmallVector<StringAttr> axes;
  double count = 1;
  for (int64_t dim : dims) {
    llvm::append_range(axes, context.axesOf(0, dim));
    count *= typeOf(getInput()).getDimSize(dim);
  }
  if (axes.empty())
    return shd::cloneLocal(*this, builder, operands, context);

  LocalBuilder local(builder, getLoc(), context);
  Type element = typeOf(operands[0]).getElementType();
  auto masked = [&](Value x) {
    for (int64_t dim : dims)
      x = local.mask(x, dim, typeOf(getInput()).getDimSize(dim), context.axesOf(0, dim), 0);
    return x;
  };
  auto mean = [&](Value x) {
    return local.binary<MulOp>(local.reduce(x, ReduceKind::Sum, dims, axes), local.scalar(element, 1 / count));
  };
  Value x = masked(operands[0]);
  Value centred = getRms() ? x : masked(local.binary<SubOp>(x, mean(x)));
  Value variance = mean(local.binary<MulOp>(centred, centred));
  Value scale =
      local.unary<RsqrtOp>(local.binary<AddOp>(variance, local.scalar(element, getEpsilon().convertToDouble())));
  Value result = local.binary<MulOp>(centred, scale);
  unsigned next = 1;
  if (getScale())
    result = local.binary<MulOp>(result, operands[next++]);
  if (getBias())
    result = local.binary<AddOp>(result, operands[next++]);
  return SmallVector<Value>{result};
}

PartitionRule GroupNormOp::getPartitionRule() {
  RuleBuilder builder(*this);
  builder.link({in(0, 0), out(0, 0)});
  int64_t groups = getGroups(), channels = builder.size(in(0, 1));
  SmallVector<Slot> slots{in(0, 1), in(1, 0), in(2, 0), out(0, 1)};
  for (int64_t size : {groups, channels / groups}) {
    if (size == 1)
      continue;
    bool isGroup = builder.rule.operandDims[0][1].empty() && groups > 1;
    unsigned factor = builder.rule.addFactor(size, isGroup ? FactorKind::Parallel : FactorKind::NeedReplicate);
    builder.rule.factors[factor].evenOnly = true;
    for (Slot slot : slots)
      builder.append(slot, factor);
  }
  return builder.rule;
}

FailureOr<SmallVector<Value>> GroupNormOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                      const LocalContext &context) {
  auto made = shd::cloneLocal(*this, builder, operands, context);
  if (succeeded(made))
    cast<GroupNormOp>((*made)[0].getDefiningOp()).setGroups(getGroups() / context.mesh.sizeOf(context.axesOf(0, 1)));
  return made;
}
