// What the rules of several operators share.
#include "Rules.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;

int64_t mpopt::nn::localSize(ArrayRef<unsigned> factors, ArrayRef<int64_t> sizes) {
  int64_t size = 1;
  for (unsigned factor : factors)
    size *= sizes[factor];
  return size;
}

RuleBuilder::RuleBuilder(Operation *op) : op(op) {
  for (Type type : op->getOperandTypes())
    rule.operandDims.emplace_back(cast<RankedTensorType>(type).getRank());
  for (Type type : op->getResultTypes())
    rule.resultDims.emplace_back(cast<RankedTensorType>(type).getRank());
  rule.padValue.resize(op->getNumOperands());
}

int64_t RuleBuilder::size(Slot slot) const {
  Type type = slot.isResult ? op->getResult(slot.tensor).getType() : op->getOperand(slot.tensor).getType();
  return cast<RankedTensorType>(type).getDimSize(slot.dim);
}

SmallVector<unsigned, 2> &RuleBuilder::dims(Slot slot) {
  return (slot.isResult ? rule.resultDims : rule.operandDims)[slot.tensor][slot.dim];
}

std::optional<unsigned> RuleBuilder::link(ArrayRef<Slot> slots, shd::FactorKind kind, shd::ReduceKind reduce) {
  int64_t most = 1;
  for (Slot slot : slots)
    most = std::max(most, size(slot));
  if (most == 1)
    return std::nullopt;
  unsigned factor = rule.addFactor(most, kind, reduce);
  for (Slot slot : slots)
    if (size(slot) != 1)
      append(slot, factor);
  return factor;
}

void RuleBuilder::follow(unsigned t, int64_t first, int64_t last) {
  int64_t rank = typeOf(op->getOperand(t)).getRank(),
          resultRank = cast<RankedTensorType>(op->getResult(0).getType()).getRank();
  if (last < 0)
    last = resultRank;
  for (int64_t d = first; d < last; ++d) {
    int64_t own = d - (resultRank - rank);
    if (own >= 0 && size(in(t, own)) != 1)
      dims(in(t, own)) = dims(out(0, d));
  }
}

shd::PartitionRule nn::opaqueRule(Operation *op) { return RuleBuilder(op).rule; }

Value LocalBuilder::scalar(Type element, double value) {
  auto type = RankedTensorType::get({}, element);
  Attribute attr = isa<FloatType>(element) ? Attribute(builder.getFloatAttr(element, value))
                                           : Attribute(builder.getIntegerAttr(element, static_cast<int64_t>(value)));
  return ConstantOp::create(builder, loc, type, DenseElementsAttr::get(type, attr));
}

Value LocalBuilder::reduce(Value x, ReduceKind kind, ArrayRef<int64_t> dims, ArrayRef<StringAttr> axes) {
  Value local = ReduceOp::create(builder, loc, kind, x, dims, /*keep_dims=*/true);
  if (axes.empty())
    return local;
  return coll::AllReduceOp::create(builder, loc, local.getType(), local, context.meshName, axesAttr(axes),
                                   shd::ReduceKindAttr::get(builder.getContext(), static_cast<shd::ReduceKind>(kind)));
}

Value LocalBuilder::mask(Value x, int64_t dim, int64_t size, ArrayRef<StringAttr> axes, double value) {
  if (typeOf(x).getDimSize(dim) * context.mesh.sizeOf(axes) == size)
    return x;
  return coll::MaskPadOp::create(builder, loc, x.getType(), x, builder.getI64IntegerAttr(dim),
                                 builder.getI64IntegerAttr(size), builder.getF64FloatAttr(value), context.meshName,
                                 axesAttr(axes));
}

Value LocalBuilder::maskAll(Value x, Operation *op, unsigned t, double value) {
  for (auto [d, size] : llvm::enumerate(typeOf(op->getOperand(t)).getShape()))
    if (ArrayRef<StringAttr> axes = context.axesOf(t, d); !axes.empty())
      x = mask(x, static_cast<int64_t>(d), size, axes, value);
  return x;
}

FailureOr<SmallVector<Value>> nn::cloneMasked(Operation *op, OpBuilder &builder, ValueRange operands,
                                              const shd::LocalContext &context, unsigned t, double value) {
  SmallVector<Value> masked(operands);
  masked[t] = LocalBuilder(builder, op->getLoc(), context).maskAll(masked[t], op, t, value);
  return shd::cloneLocal(op, builder, masked, context);
}

Value LocalBuilder::place(ArrayRef<StringAttr> axes, int64_t scale) {
  return coll::IndexOp::create(builder, loc, RankedTensorType::get({}, builder.getI64Type()), context.meshName,
                               axesAttr(axes), builder.getI64IntegerAttr(scale));
}

Value LocalBuilder::gather(Value x, ArrayRef<StringAttr> axes) {
  SmallVector<int64_t> shape(typeOf(x).getShape());
  shape.front() *= ways(axes);
  return coll::AllGatherOp::create(builder, loc, typeOf(x).clone(shape), x, builder.getI64IntegerAttr(0),
                                   context.meshName, axesAttr(axes));
}

Value LocalBuilder::keepFirst(Value x, ArrayRef<StringAttr> axes) {
  if (axes.empty())
    return x;
  return coll::KeepFirstOp::create(builder, loc, x.getType(), x, context.meshName, axesAttr(axes));
}

Value LocalBuilder::select(Value condition, Value lhs, Value rhs) {
  return SelectOp::create(builder, loc, condition, lhs, rhs);
}

Value LocalBuilder::compare(Predicate predicate, Value lhs, Value rhs) {
  return CompareOp::create(builder, loc, predicate, lhs, rhs);
}
