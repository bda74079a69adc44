#include "Fusing.h"
#include "mpopt/Dialect/NN/Elementwise.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Whether `op` gives another view of what lies in memory, and does the reading for its user.
bool isView(Operation *op) { return isa<nn::TransposeOp, nn::SliceOp, nn::BroadcastOp>(op); }

bool isByRows(Operation *op) { return isa<nn::SoftmaxOp, nn::LayerNormOp>(op); }

/// Whether pointwise operators on its result may stand in the kernel of `op`.
bool takesEpilogue(Operation *op) {
  return nn::isElementwise(op) || isByRows(op) ||
         isa<nn::MatmulOp, nn::ConvOp, nn::ReduceOp, nn::MaxPoolOp, nn::AvgPoolOp>(op);
}

} // namespace

bool isFused(OpOperand &use) {
  Value value = use.get();
  Operation *def = value.getDefiningOp(), *user = use.getOwner();
  if (!def || !isa<nn::NNDialect>(def->getDialect()) || !isa<nn::NNDialect>(user->getDialect()) || !value.hasOneUse() ||
      nn::isInitTime(value))
    return false;
  if (isView(def))
    return !isa<nn::ReshapeOp>(user); // which needs its operand in memory
  if (nn::isElementwise(user))
    return takesEpilogue(def) &&
           cast<ShapedType>(value.getType()).getShape() == cast<ShapedType>(user->getResult(0).getType()).getShape();
  if (isByRows(user) || isa<nn::ReduceOp>(user))
    return nn::isElementwise(def) && use.getOperandNumber() == 0;
  return isa<nn::TransposeOp>(user) && isa<nn::MatmulOp, nn::AttentionOp>(def);
}

bool isFused(OpResult result) { return result.hasOneUse() && isFused(*result.use_begin()); }

} // namespace mpopt::planning
