// Verifiers, and what is known when the plan is made.
#include "mpopt/Dialect/NN/Elementwise.h"
#include "mpopt/Dialect/NN/NN.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace mpopt::nn;

LogicalResult WeightOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  uint64_t bits = static_cast<uint64_t>(type.getElementTypeBitWidth());
  uint64_t bytes = type.getElementType().isInteger(1) ? type.getNumElements() : (type.getNumElements() * bits + 7) / 8;
  if (getSource().getLength() != bytes)
    return emitOpError() << "needs " << bytes << " bytes for " << type << ", source has " << getSource().getLength();
  return success();
}

LogicalResult ConstantOp::verify() {
  if (getValue().getType() != getType())
    return emitOpError() << "value is of type " << getValue().getType() << ", result of " << getType();
  return success();
}

LogicalResult IotaOp::verify() {
  int64_t axis = getAxis(), rank = cast<RankedTensorType>(getType()).getRank();
  if (axis < 0 || axis >= rank)
    return emitOpError() << "axis " << axis << " is not in [0, " << rank << ")";
  return success();
}

LogicalResult ReshapeOp::verify() {
  auto from = cast<RankedTensorType>(getInput().getType()), to = cast<RankedTensorType>(getType());
  if (from.getElementType() != to.getElementType() || from.getNumElements() != to.getNumElements())
    return emitOpError() << "cannot make " << to << " of " << from;
  return success();
}

LogicalResult BroadcastOp::verify() {
  auto from = cast<RankedTensorType>(getInput().getType()), to = cast<RankedTensorType>(getType());
  auto shape = broadcastShapes(from.getShape(), to.getShape());
  if (from.getElementType() != to.getElementType() || !shape || ArrayRef<int64_t>(*shape) != to.getShape())
    return emitOpError() << "cannot broadcast " << from << " to " << to;
  return success();
}

LogicalResult SliceAtOp::verify() {
  auto from = cast<RankedTensorType>(getInput().getType()), to = cast<RankedTensorType>(getType());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= from.getRank())
    return emitOpError() << "axis " << axis << " is not in [0, " << from.getRank() << ")";
  if (cast<RankedTensorType>(getStart().getType()).getNumElements() != 1)
    return emitOpError() << "start must be a scalar";
  SmallVector<int64_t> shape(from.getShape());
  if (to.getRank() == from.getRank())
    shape[axis] = to.getDimSize(axis);
  if (ArrayRef<int64_t>(shape) != to.getShape() || from.getElementType() != to.getElementType())
    return emitOpError() << "result " << to << " differs from " << from << " outside of axis " << axis;
  return success();
}

LogicalResult LayerNormOp::verify() {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(getInput().getType()).getShape().drop_front(getAxis());
  for (Value operand : {getScale(), getBias()}) {
    if (!operand)
      continue;
    auto result = broadcastShapes(cast<RankedTensorType>(operand.getType()).getShape(), shape);
    if (!result || ArrayRef<int64_t>(*result) != shape)
      return emitOpError() << operand.getType() << " does not broadcast to the normalised dimensions";
  }
  return success();
}

bool mpopt::nn::isElementwise(Operation *op) {
  return isa<NegOp, AbsOp, SignOp, ExpOp, LogOp, SqrtOp, RsqrtOp, ReciprocalOp, SinOp, CosOp, TanhOp, ErfOp, FloorOp,
             CeilOp, RoundOp, SigmoidOp, ReluOp, SiluOp, SoftplusOp, NotOp, GeluOp, LeakyReluOp, EluOp, HardSigmoidOp,
             IsNanOp, AddOp, SubOp, MulOp, DivOp, PowOp, MaxOp, MinOp, ModOp, AndOp, OrOp, XorOp, CompareOp, SelectOp,
             CastOp>(op);
}

bool mpopt::nn::isInitTime(Value value) {
  SmallVector<Value> work{value};
  llvm::DenseSet<Operation *> seen;
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (!op || op->getNumRegions() || !isPure(op))
      return false;
    // The first operand first: what a residual connection passes is often that, and leads to the inputs past the layers.
    if (seen.insert(op).second)
      llvm::append_range(work, llvm::reverse(op->getOperands()));
  }
  return true;
}
