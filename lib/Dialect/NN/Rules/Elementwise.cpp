// Rules of constants and of operators that work element by element.
#include "Rules.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::nn;
using shd::PartitionRule;

/// Every dimension of the result is a loop of its own.
static PartitionRule generatorRule(Operation *op) {
  RuleBuilder builder(op);
  for (int64_t d = 0, rank = builder.rule.resultDims[0].size(); d < rank; ++d)
    builder.link({out(0, d)});
  return builder.rule;
}

PartitionRule WeightOp::getPartitionRule() { return generatorRule(*this); }
PartitionRule ConstantOp::getPartitionRule() { return generatorRule(*this); }
PartitionRule IotaOp::getPartitionRule() { return generatorRule(*this); }

/// Counts from the place where this device's part begins.
FailureOr<SmallVector<Value>> IotaOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                 const shd::LocalContext &context) {
  auto made = shd::cloneLocal(*this, builder, operands, context);
  ArrayRef<StringAttr> axes = context.shardings.out[0].getDims()[getAxis()].getAxes();
  if (failed(made) || axes.empty())
    return made;
  LocalBuilder local(builder, getLoc(), context);
  Type element = getType().getElementType();
  Value start = local.place(axes, typeOf((*made)[0]).getDimSize(getAxis()));
  if (start.getType() != RankedTensorType::get({}, element))
    start = CastOp::create(builder, getLoc(), RankedTensorType::get({}, element), start);
  start = local.binary<MulOp>(start, local.scalar(element, getStep().convertToDouble()));
  return SmallVector<Value>{local.binary<AddOp>((*made)[0], start)};
}

#define MPOPT_ELEMENTWISE(Op, ...)                                                                                     \
  PartitionRule Op::getPartitionRule() { return shd::elementwiseRule(*this, __VA_ARGS__); }

using Sets = SmallVector<SmallVector<unsigned, 2>>;

MPOPT_ELEMENTWISE(NegOp, Sets{{0}})
MPOPT_ELEMENTWISE(AbsOp, Sets{})
MPOPT_ELEMENTWISE(SignOp, Sets{})
MPOPT_ELEMENTWISE(ExpOp, Sets{})
MPOPT_ELEMENTWISE(LogOp, Sets{})
MPOPT_ELEMENTWISE(SqrtOp, Sets{})
MPOPT_ELEMENTWISE(RsqrtOp, Sets{})
MPOPT_ELEMENTWISE(ReciprocalOp, Sets{})
MPOPT_ELEMENTWISE(SinOp, Sets{})
MPOPT_ELEMENTWISE(CosOp, Sets{})
MPOPT_ELEMENTWISE(TanhOp, Sets{})
MPOPT_ELEMENTWISE(ErfOp, Sets{})
MPOPT_ELEMENTWISE(FloorOp, Sets{})
MPOPT_ELEMENTWISE(CeilOp, Sets{})
MPOPT_ELEMENTWISE(RoundOp, Sets{})
MPOPT_ELEMENTWISE(SigmoidOp, Sets{})
MPOPT_ELEMENTWISE(ReluOp, Sets{})
MPOPT_ELEMENTWISE(SiluOp, Sets{})
MPOPT_ELEMENTWISE(SoftplusOp, Sets{})
MPOPT_ELEMENTWISE(NotOp, Sets{})
MPOPT_ELEMENTWISE(GeluOp, Sets{})
MPOPT_ELEMENTWISE(LeakyReluOp, Sets{})
MPOPT_ELEMENTWISE(EluOp, Sets{})
MPOPT_ELEMENTWISE(HardSigmoidOp, Sets{})
MPOPT_ELEMENTWISE(IsNanOp, Sets{})
MPOPT_ELEMENTWISE(AddOp, Sets{{0, 1}})
MPOPT_ELEMENTWISE(SubOp, Sets{{0, 1}})
MPOPT_ELEMENTWISE(MulOp, Sets{{0}, {1}})
MPOPT_ELEMENTWISE(PowOp, Sets{})
MPOPT_ELEMENTWISE(MaxOp, Sets{})
MPOPT_ELEMENTWISE(MinOp, Sets{})
MPOPT_ELEMENTWISE(ModOp, Sets{})
MPOPT_ELEMENTWISE(AndOp, Sets{})
MPOPT_ELEMENTWISE(OrOp, Sets{})
MPOPT_ELEMENTWISE(XorOp, Sets{})
MPOPT_ELEMENTWISE(CompareOp, Sets{})
MPOPT_ELEMENTWISE(SelectOp, Sets{{1, 2}})

// Integer division truncates and is not linear.
PartitionRule DivOp::getPartitionRule() {
  bool isFloat = isa<FloatType>(getElementTypeOrSelf(getType()));
  return shd::elementwiseRule(*this, isFloat ? Sets{{0}} : Sets{});
}

PartitionRule CastOp::getPartitionRule() {
  bool isLinear =
      isa<FloatType>(getElementTypeOrSelf(getType())) && isa<FloatType>(getElementTypeOrSelf(getInput().getType()));
  return shd::elementwiseRule(*this, isLinear ? Sets{{0}} : Sets{});
}

// What lies in the padding of integers could trap as a divisor.
FailureOr<SmallVector<Value>> DivOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                const shd::LocalContext &context) {
  return isa<FloatType>(getElementTypeOrSelf(getType())) ? shd::cloneLocal(*this, builder, operands, context)
                                                         : cloneMasked(*this, builder, operands, context, 1, 1);
}

FailureOr<SmallVector<Value>> ModOp::buildLocal(OpBuilder &builder, ValueRange operands,
                                                const shd::LocalContext &context) {
  return isa<FloatType>(getElementTypeOrSelf(getType())) ? shd::cloneLocal(*this, builder, operands, context)
                                                         : cloneMasked(*this, builder, operands, context, 1, 1);
}
