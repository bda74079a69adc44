// Constant folding and identities of elementwise operators.
#include "NNFoldData.h"
#include <cmath>

using namespace mlir;
using namespace mpopt::nn;

namespace {

RankedTensorType resultType(Operation *op) { return cast<RankedTensorType>(op->getResult(0).getType()); }

/// Applies `onFloat` or `onInt` to every element. A null function means that the operator has no such operand.
OpFoldResult foldUnary(Operation *op, Attribute operand, double (*onFloat)(double),
                       int64_t (*onInt)(int64_t) = nullptr) {
  auto input = FoldData::read(operand);
  if (!input || (input->isFloat() ? !onFloat : !onInt))
    return {};
  FoldData result(resultType(op));
  for (double x : input->floats)
    result.floats.push_back(onFloat(x));
  for (int64_t x : input->ints)
    result.ints.push_back(onInt(x));
  return result.write();
}

/// Calls fn(result, i of lhs, i of rhs) for every element of the broadcast result.
bool zip(FoldData &result, const FoldData &lhs, const FoldData &rhs, llvm::function_ref<void(int64_t, int64_t)> fn) {
  if (lhs.splat && rhs.splat && result.type.getNumElements() > 0) {
    result.splat = true;
    fn(0, 0);
    return true;
  }
  if (!mayFold(result.type, false))
    return false;
  ArrayRef<int64_t> shape = result.type.getShape();
  std::vector<int64_t> left;
  left.reserve(result.type.getNumElements());
  forEachOffset(shape, 0, broadcastStrides(lhs.type.getShape(), shape), [&](int64_t, int64_t o) { left.push_back(o); });
  forEachOffset(shape, 0, broadcastStrides(rhs.type.getShape(), shape), [&](int64_t i, int64_t o) { fn(left[i], o); });
  return true;
}

OpFoldResult foldBinary(Operation *op, ArrayRef<Attribute> operands, double (*onFloat)(double, double),
                        std::optional<int64_t> (*onInt)(int64_t, int64_t)) {
  auto lhs = FoldData::read(operands[0]), rhs = FoldData::read(operands[1]);
  if (!lhs || !rhs)
    return {};
  FoldData result(resultType(op));
  if (lhs->isFloat() ? !onFloat : !onInt)
    return {};
  if (result.type.getElementType().isUnsignedInteger(64))
    return {};
  bool defined = true;
  bool done = zip(result, *lhs, *rhs, [&](int64_t i, int64_t j) {
    if (lhs->isFloat()) {
      result.floats.push_back(onFloat(lhs->floatAt(i), rhs->floatAt(j)));
      return;
    }
    auto value = onInt(lhs->intAt(i), rhs->intAt(j));
    defined &= value.has_value();
    result.ints.push_back(value.value_or(0));
  });
  return done && defined ? OpFoldResult(result.write()) : OpFoldResult();
}

/// Whether a constant is `value` everywhere.
bool isSplatOf(Attribute attribute, double value) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(attribute);
  if (!dense || !dense.isSplat())
    return false;
  auto data = FoldData::read(dense);
  return data && data->numberAt(0) == value;
}

/// `value` when it already has the result's type.
OpFoldResult same(Operation *op, Value value) {
  return value.getType() == op->getResult(0).getType() ? OpFoldResult(value) : OpFoldResult();
}

using UInt = uint64_t; // wraps where int64_t would overflow
int64_t wrapAdd(int64_t a, int64_t b) { return static_cast<int64_t>(UInt(a) + UInt(b)); }
int64_t wrapSub(int64_t a, int64_t b) { return static_cast<int64_t>(UInt(a) - UInt(b)); }
int64_t wrapMul(int64_t a, int64_t b) { return static_cast<int64_t>(UInt(a) * UInt(b)); }

std::optional<int64_t> divide(int64_t a, int64_t b) {
  if (b == 0 || (b == -1 && a == INT64_MIN))
    return std::nullopt;
  return a / b;
}

std::optional<int64_t> power(int64_t base, int64_t exponent) {
  if (exponent < 0)
    return std::nullopt;
  int64_t result = 1;
  for (; exponent; exponent >>= 1, base = wrapMul(base, base))
    if (exponent & 1)
      result = wrapMul(result, base);
  return result;
}

double larger(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }
double smaller(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

template <typename T> bool holds(Predicate predicate, T a, T b) {
  switch (predicate) {
  case Predicate::Eq:
    return a == b;
  case Predicate::Ne:
    return a != b;
  case Predicate::Lt:
    return a < b;
  case Predicate::Le:
    return a <= b;
  case Predicate::Gt:
    return a > b;
  case Predicate::Ge:
    return a >= b;
  }
  llvm_unreachable("covered switch");
}

} // namespace

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

//===----------------------------------------------------------------------===//
// Unary
//===----------------------------------------------------------------------===//

#define MPOPT_FOLD_UNARY(OP, ...)                                                                                      \
  OpFoldResult OP::fold(FoldAdaptor operands) { return foldUnary(*this, operands.getInput(), __VA_ARGS__); }

MPOPT_FOLD_UNARY(NegOp, [](double x) { return -x; }, [](int64_t x) { return wrapSub(0, x); })
MPOPT_FOLD_UNARY(AbsOp, [](double x) { return std::fabs(x); }, [](int64_t x) { return x < 0 ? wrapSub(0, x) : x; })
MPOPT_FOLD_UNARY(
    SignOp, [](double x) { return std::isnan(x) ? x : double((x > 0) - (x < 0)); },
    [](int64_t x) { return int64_t((x > 0) - (x < 0)); })
MPOPT_FOLD_UNARY(ExpOp, [](double x) { return std::exp(x); })
MPOPT_FOLD_UNARY(LogOp, [](double x) { return std::log(x); })
MPOPT_FOLD_UNARY(SqrtOp, [](double x) { return std::sqrt(x); })
MPOPT_FOLD_UNARY(RsqrtOp, [](double x) { return 1 / std::sqrt(x); })
MPOPT_FOLD_UNARY(ReciprocalOp, [](double x) { return 1 / x; })
MPOPT_FOLD_UNARY(SinOp, [](double x) { return std::sin(x); })
MPOPT_FOLD_UNARY(CosOp, [](double x) { return std::cos(x); })
MPOPT_FOLD_UNARY(TanhOp, [](double x) { return std::tanh(x); })
MPOPT_FOLD_UNARY(ErfOp, [](double x) { return std::erf(x); })
MPOPT_FOLD_UNARY(FloorOp, [](double x) { return std::floor(x); })
MPOPT_FOLD_UNARY(CeilOp, [](double x) { return std::ceil(x); })
MPOPT_FOLD_UNARY(RoundOp, [](double x) { return std::nearbyint(x); })
MPOPT_FOLD_UNARY(SigmoidOp, sigmoid)
MPOPT_FOLD_UNARY(ReluOp, [](double x) { return x < 0 ? 0 : x; }, [](int64_t x) { return x < 0 ? 0 : x; })
MPOPT_FOLD_UNARY(SiluOp, [](double x) { return x * sigmoid(x); })
MPOPT_FOLD_UNARY(SoftplusOp, [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); })

OpFoldResult NotOp::fold(FoldAdaptor operands) {
  if (auto inner = getInput().getDefiningOp<NotOp>())
    return inner.getInput();
  return foldUnary(*this, operands.getInput(), nullptr, [](int64_t x) { return int64_t(!x); });
}

//===----------------------------------------------------------------------===//
// Binary
//===----------------------------------------------------------------------===//

OpFoldResult AddOp::fold(FoldAdaptor operands) {
  if (isSplatOf(operands.getRhs(), 0))
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  return foldBinary(
      *this, operands.getOperands(), [](double a, double b) { return a + b; },
      [](int64_t a, int64_t b) { return std::optional(wrapAdd(a, b)); });
}

OpFoldResult SubOp::fold(FoldAdaptor operands) {
  if (isSplatOf(operands.getRhs(), 0))
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  return foldBinary(
      *this, operands.getOperands(), [](double a, double b) { return a - b; },
      [](int64_t a, int64_t b) { return std::optional(wrapSub(a, b)); });
}

OpFoldResult MulOp::fold(FoldAdaptor operands) {
  if (isSplatOf(operands.getRhs(), 1))
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  return foldBinary(
      *this, operands.getOperands(), [](double a, double b) { return a * b; },
      [](int64_t a, int64_t b) { return std::optional(wrapMul(a, b)); });
}

OpFoldResult DivOp::fold(FoldAdaptor operands) {
  if (isSplatOf(operands.getRhs(), 1))
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  return foldBinary(*this, operands.getOperands(), [](double a, double b) { return a / b; }, divide);
}

OpFoldResult PowOp::fold(FoldAdaptor operands) {
  if (isSplatOf(operands.getRhs(), 1))
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  return foldBinary(*this, operands.getOperands(), [](double a, double b) { return std::pow(a, b); }, power);
}

OpFoldResult MaxOp::fold(FoldAdaptor operands) {
  return foldBinary(*this, operands.getOperands(), larger,
                    [](int64_t a, int64_t b) { return std::optional(std::max(a, b)); });
}

OpFoldResult MinOp::fold(FoldAdaptor operands) {
  return foldBinary(*this, operands.getOperands(), smaller,
                    [](int64_t a, int64_t b) { return std::optional(std::min(a, b)); });
}

OpFoldResult ModOp::fold(FoldAdaptor operands) {
  auto floored = [](int64_t a, int64_t b) -> std::optional<int64_t> {
    if (b == 0 || b == -1)
      return b == 0 ? std::nullopt : std::optional<int64_t>(0);
    return (a % b + b) % b;
  };
  auto truncated = [](int64_t a, int64_t b) -> std::optional<int64_t> {
    if (b == 0 || b == -1)
      return b == 0 ? std::nullopt : std::optional<int64_t>(0);
    return a % b;
  };
  if (getFmod())
    return foldBinary(*this, operands.getOperands(), [](double a, double b) { return std::fmod(a, b); }, truncated);
  return foldBinary(
      *this, operands.getOperands(), [](double a, double b) { return a - std::floor(a / b) * b; }, floored);
}

OpFoldResult AndOp::fold(FoldAdaptor operands) {
  bool isBool = resultType(*this).getElementType().isInteger(1);
  if (isBool && isSplatOf(operands.getRhs(), 1))
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  if (isSplatOf(operands.getRhs(), 0)) {
    FoldData result(resultType(*this));
    result.ints = {0};
    return result.write();
  }
  if (getLhs() == getRhs())
    return getLhs();
  return foldBinary(*this, operands.getOperands(), nullptr, [](int64_t a, int64_t b) { return std::optional(a & b); });
}

OpFoldResult OrOp::fold(FoldAdaptor operands) {
  if (isSplatOf(operands.getRhs(), 0))
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  return foldBinary(*this, operands.getOperands(), nullptr, [](int64_t a, int64_t b) { return std::optional(a | b); });
}

OpFoldResult XorOp::fold(FoldAdaptor operands) {
  return foldBinary(*this, operands.getOperands(), nullptr, [](int64_t a, int64_t b) { return std::optional(a ^ b); });
}

//===----------------------------------------------------------------------===//
// Comparison, selection, conversion
//===----------------------------------------------------------------------===//

OpFoldResult CompareOp::fold(FoldAdaptor operands) {
  auto lhs = FoldData::read(operands.getLhs()), rhs = FoldData::read(operands.getRhs());
  if (!lhs || !rhs || lhs->type.getElementType().isUnsignedInteger(64))
    return {};
  FoldData result(resultType(*this));
  Predicate predicate = getPredicate();
  bool done = zip(result, *lhs, *rhs, [&](int64_t i, int64_t j) {
    result.ints.push_back(lhs->isFloat() ? holds(predicate, lhs->floatAt(i), rhs->floatAt(j))
                                         : holds(predicate, lhs->intAt(i), rhs->intAt(j)));
  });
  return done ? OpFoldResult(result.write()) : OpFoldResult();
}

OpFoldResult SelectOp::fold(FoldAdaptor operands) {
  for (bool taken : {true, false})
    if (isSplatOf(operands.getCondition(), taken))
      if (OpFoldResult result = same(*this, taken ? getLhs() : getRhs()))
        return result;
  if (getLhs() == getRhs())
    if (OpFoldResult result = same(*this, getLhs()))
      return result;
  auto condition = FoldData::read(operands.getCondition());
  auto lhs = FoldData::read(operands.getLhs()), rhs = FoldData::read(operands.getRhs());
  RankedTensorType type = resultType(*this);
  if (!condition || !lhs || !rhs)
    return {};
  FoldData result(type);
  if (condition->splat && (condition->intAt(0) ? lhs : rhs)->splat && type.getNumElements() > 0) {
    result.push(condition->intAt(0) ? *lhs : *rhs, 0);
    return result.write();
  }
  if (!mayFold(type, false))
    return {};
  std::vector<int64_t> offsets[3];
  const FoldData *data[] = {&*condition, &*lhs, &*rhs};
  for (int k = 0; k < 3; ++k)
    forEachOffset(type.getShape(), 0, broadcastStrides(data[k]->type.getShape(), type.getShape()),
                  [&](int64_t, int64_t offset) { offsets[k].push_back(offset); });
  for (size_t i = 0; i < offsets[0].size(); ++i) {
    bool taken = condition->intAt(offsets[0][i]);
    result.push(taken ? *lhs : *rhs, offsets[taken ? 1 : 2][i]);
  }
  return result.write();
}

OpFoldResult CastOp::fold(FoldAdaptor operands) {
  if (getInput().getType() == getType())
    return getInput();
  auto input = FoldData::read(operands.getInput());
  if (!input)
    return {};
  RankedTensorType type = resultType(*this);
  bool toFloat = isa<FloatType>(type.getElementType()), toBool = type.getElementType().isInteger(1);
  bool fromUnsigned = input->type.getElementType().isUnsignedInteger(64);
  FoldData result(type);
  for (size_t i = 0; i < input->size(); ++i) {
    if (toFloat)
      result.floats.push_back(input->isFloat() ? input->floats[i]
                              : fromUnsigned   ? static_cast<double>(static_cast<uint64_t>(input->ints[i]))
                                               : static_cast<double>(input->ints[i]));
    else if (toBool)
      result.ints.push_back(input->isFloat() ? input->floats[i] != 0 : input->ints[i] != 0);
    else if (!input->isFloat())
      result.ints.push_back(input->ints[i]);
    else if (double x = std::trunc(input->floats[i]); x >= -0x1p63 && x < 0x1p63)
      result.ints.push_back(static_cast<int64_t>(x));
    else
      return {}; // what such a conversion gives is the machine's choice
  }
  return result.write();
}
