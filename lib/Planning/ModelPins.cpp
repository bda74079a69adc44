//===- ModelPins.cpp - Options that pins and annotations leave ------------===//

#include "Model.h"
#include "Names.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;

namespace mpopt::planning {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

FailureOr<std::shared_ptr<const Options>> Model::pinned(std::shared_ptr<const Options> options, Operation *op) {
  if (pins.empty())
    return options;
  auto hold = [&](StringRef name, Value value, llvm::function_ref<unsigned(const Option &)> sharding) -> LogicalResult {
    const Pin *pin = pins.find(name, typeOf(value).getRank());
    if (!pin)
      return success();
    options = filtered(options, [&](const Option &option) { return meets(*pin, sharding(option)); });
    if (options->empty())
      return op->emitError() << "pin '" << pin->pattern
                             << "' cannot be met: no way to split this operator gives that sharding";
    return success();
  };
  for (OpResult result : op->getResults())
    if (failed(hold(nodeName(op->getLoc()), result,
                    [&](const Option &option) { return option.out[result.getResultNumber()]; })))
      return failure();
  for (OpOperand &operand : op->getOpOperands())
    if (auto weight = operand.get().getDefiningOp<nn::WeightOp>())
      if (failed(hold(weight.getName(), weight,
                      [&](const Option &option) { return option.in[operand.getOperandNumber()]; })))
        return failure();
  return annotated(options, op);
}

/// Where a value comes from, as annotations name it: a weight, an input, or a node.
static StringRef sourceOf(Value value) {
  if (auto weight = value.getDefiningOp<nn::WeightOp>())
    return weight.getName();
  return nodeName(value.getLoc());
}

/// Whether an annotation means a result (true) or an operand of the operator, and which.
std::optional<std::pair<bool, unsigned>> Model::placeOf(const NodePin &pin, Operation *op) const {
  if (pin.result) {
    bool isLast = lastOfNode.lookup(pin.node) == op && *pin.result < op->getNumResults();
    return isLast ? std::optional(std::pair(true, *pin.result)) : std::nullopt;
  }
  for (OpOperand &operand : op->getOpOperands())
    if (sourceOf(operand.get()) == pin.source)
      return std::pair(false, operand.getOperandNumber());
  return std::nullopt;
}

/// Annotations are wishes: one that leaves no option is noted and passed over.
std::shared_ptr<const Options> Model::annotated(std::shared_ptr<const Options> options, Operation *op) {
  for (const NodePin *pin : pins.ofNode(nodeName(op->getLoc()))) {
    auto place = placeOf(*pin, op);
    if (!place || (pin->stage && (!stage || *pin->stage != stage->number)))
      continue;
    auto [isResult, number] = *place;
    RankedTensorType type = typeOf(isResult ? Value(op->getResult(number)) : op->getOperand(number));
    auto kept = filtered(options, [&, isResult = isResult, number = number](const Option &option) {
      unsigned id = isResult ? option.out[number] : option.in[number];
      return PinBoard::meets(*pin, prices.sharding(id), type.getShape(), mesh);
    });
    if (kept->empty()) {
      pins.noteRefused(*pin);
      continue;
    }
    pins.noteHonoured(*pin);
    options = kept;
  }
  return options;
}

} // namespace mpopt::planning
