#include "Match.h"
#include <cmath>

using namespace mlir;
using namespace mpopt::nn;

static DenseElementsAttr constantOf(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  return constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
}

std::optional<double> mpopt::nn::splatOf(Value value) {
  DenseElementsAttr dense = constantOf(value);
  if (!dense || dense.getNumElements() == 0 || !dense.isSplat())
    return std::nullopt;
  if (isa<FloatType>(dense.getElementType())) {
    bool losesInfo;
    APFloat number = dense.getSplatValue<APFloat>();
    number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
    return number.convertToDouble();
  }
  if (auto type = dyn_cast<IntegerType>(dense.getElementType()); type && type.getWidth() <= 64) {
    APInt number = dense.getSplatValue<APInt>();
    return type.isUnsigned() || type.getWidth() == 1 ? double(number.getZExtValue()) : double(number.getSExtValue());
  }
  return std::nullopt;
}

bool mpopt::nn::nearly(double a, double b) { return std::fabs(a - b) <= 1e-6 * std::max(std::fabs(a), std::fabs(b)); }

/// Whether combining `value` with a constant of that shape leaves its shape.
static bool keepsShape(Value value, Value constant) {
  auto shape = broadcastShapes(shapeOf(value), shapeOf(constant));
  return shape && ArrayRef<int64_t>(*shape) == shapeOf(value);
}

std::optional<Scaled> mpopt::nn::matchScaled(Value value) {
  if (auto mul = value.getDefiningOp<MulOp>())
    for (auto [x, c] : {std::pair(mul.getLhs(), mul.getRhs()), std::pair(mul.getRhs(), mul.getLhs())})
      if (auto factor = splatOf(c); factor && keepsShape(x, c))
        return Scaled{x, *factor};
  if (auto div = value.getDefiningOp<DivOp>())
    if (auto divisor = splatOf(div.getRhs()); divisor && *divisor != 0 && keepsShape(div.getLhs(), div.getRhs()))
      return Scaled{div.getLhs(), 1 / *divisor};
  return std::nullopt;
}

std::optional<Offset> mpopt::nn::matchOffset(Value value) {
  if (auto add = value.getDefiningOp<AddOp>())
    for (auto [x, c] : {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())})
      if (auto term = splatOf(c); term && keepsShape(x, c))
        return Offset{x, *term};
  return std::nullopt;
}

std::optional<Mean> mpopt::nn::matchMean(Value value) {
  auto scaled = matchScaled(value);
  auto reduce = scaled ? scaled->value.getDefiningOp<ReduceOp>() : nullptr;
  if (!reduce || reduce.getKind() != ReduceKind::Sum || !reduce.getKeepDims() || reduce.getAxes().empty())
    return std::nullopt;
  SmallVector<int64_t> axes(reduce.getAxes());
  llvm::sort(axes);
  ArrayRef<int64_t> shape = shapeOf(reduce.getInput());
  int64_t count = 1, axis = shape.size() - axes.size();
  for (auto [i, each] : llvm::enumerate(axes)) {
    if (each != axis + static_cast<int64_t>(i))
      return std::nullopt;
    count *= shape[each];
  }
  if (!nearly(scaled->factor, 1.0 / static_cast<double>(count)))
    return std::nullopt;
  return Mean{reduce.getInput(), axis};
}

Value mpopt::nn::matchSquare(Value value) {
  if (auto mul = value.getDefiningOp<MulOp>(); mul && mul.getLhs() == mul.getRhs())
    return mul.getLhs();
  if (auto pow = value.getDefiningOp<PowOp>();
      pow && splatOf(pow.getRhs()) == 2.0 && keepsShape(pow.getLhs(), pow.getRhs()))
    return pow.getLhs();
  return nullptr;
}

std::optional<SmallVector<int64_t>> mpopt::nn::intsOf(Value value) {
  DenseElementsAttr dense = constantOf(value);
  auto type = dense ? dyn_cast<IntegerType>(dense.getElementType()) : nullptr;
  if (!type || type.getWidth() > 64)
    return std::nullopt;
  SmallVector<int64_t> values;
  for (const APInt &element : dense.getValues<APInt>())
    values.push_back(type.isUnsigned() || type.getWidth() == 1 ? static_cast<int64_t>(element.getZExtValue())
                                                               : element.getSExtValue());
  return values;
}
