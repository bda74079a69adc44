// Elementwise ONNX operators.
#include "Node.h"
#include "Tensors.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

template <typename Op> void unary(Node &n) { n.give(n.make<Op>({n.in(0)})); }

/// Operators of two inputs, or of any number where ONNX has it so.
template <typename Op> void binary(Node &n) {
  Value result = n.in(0);
  for (unsigned i = 1; i < n.inputs.size(); ++i)
    result = n.make<Op>({result, n.in(i)});
  n.give(result);
}

template <nn::Predicate predicate> void compare(Node &n) { n.give(n.compare(predicate, n.in(0), n.in(1))); }

void lowerMean(Node &n) {
  binary<nn::AddOp>(n);
  Value sum = n.results[0];
  n.give(n.mul(sum, n.like(sum, 1.0 / n.inputs.size())));
}

void lowerPow(Node &n) {
  Value base = n.in(0), exponent = n.in(1);
  if (!base || !exponent)
    return;
  if (Build::isFloat(exponent) && !Build::isFloat(base)) {
    Value result = n.make<nn::PowOp>({n.cast(base, Build::elementOf(exponent)), exponent});
    return n.give(n.cast(result, Build::elementOf(base)));
  }
  n.give(n.make<nn::PowOp>({base, n.cast(exponent, Build::elementOf(base))}));
}

void lowerMod(Node &n) {
  Value lhs = n.in(0);
  if (n.intAttr("fmod", 0))
    n.give(n.make<nn::ModOp>({lhs, n.in(1)}, {n.unit("fmod")}));
  else
    n.give(n.make<nn::ModOp>({lhs, n.in(1)}));
}

void lowerGelu(Node &n) {
  if (n.textAttr("approximate", "none") == "tanh")
    n.give(n.make<nn::GeluOp>({n.in(0)}, {n.unit("tanh")}));
  else
    n.give(n.make<nn::GeluOp>({n.in(0)}));
}

void lowerLeakyRelu(Node &n) {
  n.give(n.make<nn::LeakyReluOp>({n.in(0)}, {n.number("alpha", n.floatAttr("alpha", 0.01f))}));
}

void lowerElu(Node &n) { n.give(n.make<nn::EluOp>({n.in(0)}, {n.number("alpha", n.floatAttr("alpha", 1))})); }

void lowerHardSigmoid(Node &n) {
  n.give(n.make<nn::HardSigmoidOp>(
      {n.in(0)}, {n.number("alpha", n.floatAttr("alpha", 0.2f)), n.number("beta", n.floatAttr("beta", 0.5f))}));
}

void lowerHardSwish(Node &n) {
  Value gate = n.make<nn::HardSigmoidOp>({n.in(0)}, {n.number("alpha", 1.0 / 6), n.number("beta", 0.5)});
  n.give(n.mul(n.in(0), gate));
}

void lowerSwish(Node &n) {
  double alpha = n.floatAttr("alpha", 1);
  Value x = n.in(0);
  n.give(alpha == 1 ? n.make<nn::SiluOp>({x}) : n.mul(x, n.make<nn::SigmoidOp>({n.mul(x, n.like(x, alpha))})));
}

void lowerPRelu(Node &n) {
  Value x = n.in(0), slope = n.in(1);
  n.give(n.select(n.compare(nn::Predicate::Lt, x, n.like(x, 0)), n.mul(x, slope), x));
}

void lowerIsInf(Node &n) {
  Value x = n.in(0);
  if (x && !Build::isFloat(x))
    return void(n.fail() << "ONNX operator IsInf needs floating-point numbers, not " << x.getType());
  double inf = std::numeric_limits<double>::infinity();
  Value positive, negative;
  if (n.intAttr("detect_positive", 1))
    positive = n.compare(nn::Predicate::Eq, x, n.like(x, inf));
  if (n.intAttr("detect_negative", 1))
    negative = n.compare(nn::Predicate::Eq, x, n.like(x, -inf));
  if (positive && negative)
    n.give(n.make<nn::OrOp>({positive, negative}));
  else
    n.give(positive ? positive : negative ? negative : n.compare(nn::Predicate::Ne, x, x));
}

/// min and max are attributes before operator set 11, optional inputs after.
void lowerClip(Node &n) {
  Value x = n.in(0);
  Value low = n.hasAttr("min") ? n.like(x, n.floatAttr("min", 0)) : n.opt(1);
  Value high = n.hasAttr("max") ? n.like(x, n.floatAttr("max", 0)) : n.opt(2);
  if (low)
    x = n.make<nn::MaxOp>({x, low});
  if (high)
    x = n.make<nn::MinOp>({x, high});
  n.give(x);
}

void lowerWhere(Node &n) { n.give(n.select(n.in(0), n.in(1), n.in(2))); }

void lowerCast(Node &n) {
  Value x = n.in(0);
  int64_t to = n.intAttr("to", 0);
  if (!x)
    return;
  if (Type type = elementTypeOf(n.context(), to))
    return n.give(n.cast(x, type));
  n.fail() << "ONNX operator Cast to data type " << to << " is not supported" << kExportAnew;
}

void lowerCastLike(Node &n) {
  Value x = n.in(0), like = n.in(1);
  if (x && like)
    n.give(n.cast(x, Build::elementOf(like)));
}

void lowerIdentity(Node &n) { n.give(n.in(0)); }

/// At inference: the input, and a mask that is true everywhere.
void lowerDropout(Node &n) {
  Value x = n.in(0);
  auto training = n.has(2) ? Node::constantIntsOf(n.opt(2)) : std::optional(SmallVector<int64_t>{0});
  if (!training || training->size() != 1 || training->front()) {
    n.fail() << "ONNX operator Dropout in training mode is not supported; export the model for inference";
    return;
  }
  if (!x)
    return;
  SmallVector<Value> results{x};
  if (n.wants(1))
    results.push_back(n.splat(1, IntegerType::get(x.getContext(), 1), Build::shapeOf(x)));
  n.give(results);
}

} // namespace

void mpopt::onnx::addElementwise(LoweringTable &table) {
  table["Neg"] = unary<nn::NegOp>;
  table["Abs"] = unary<nn::AbsOp>;
  table["Sign"] = unary<nn::SignOp>;
  table["Exp"] = unary<nn::ExpOp>;
  table["Log"] = unary<nn::LogOp>;
  table["Sqrt"] = unary<nn::SqrtOp>;
  table["Reciprocal"] = unary<nn::ReciprocalOp>;
  table["Sin"] = unary<nn::SinOp>;
  table["Cos"] = unary<nn::CosOp>;
  table["Tanh"] = unary<nn::TanhOp>;
  table["Erf"] = unary<nn::ErfOp>;
  table["Floor"] = unary<nn::FloorOp>;
  table["Ceil"] = unary<nn::CeilOp>;
  table["Round"] = unary<nn::RoundOp>;
  table["Sigmoid"] = unary<nn::SigmoidOp>;
  table["Relu"] = unary<nn::ReluOp>;
  table["Softplus"] = unary<nn::SoftplusOp>;
  table["Not"] = unary<nn::NotOp>;
  table["IsNaN"] = unary<nn::IsNanOp>;
  table["Add"] = table["Sum"] = binary<nn::AddOp>;
  table["Sub"] = binary<nn::SubOp>;
  table["Mul"] = binary<nn::MulOp>;
  table["Div"] = binary<nn::DivOp>;
  table["Max"] = binary<nn::MaxOp>;
  table["Min"] = binary<nn::MinOp>;
  table["And"] = binary<nn::AndOp>;
  table["Or"] = binary<nn::OrOp>;
  table["Xor"] = binary<nn::XorOp>;
  // nn's logical operators work on the bits of integers.
  table["BitwiseAnd"] = binary<nn::AndOp>;
  table["BitwiseOr"] = binary<nn::OrOp>;
  table["BitwiseXor"] = binary<nn::XorOp>;
  table["Mean"] = lowerMean;
  table["Pow"] = lowerPow;
  table["Mod"] = lowerMod;
  table["Equal"] = compare<nn::Predicate::Eq>;
  table["Less"] = compare<nn::Predicate::Lt>;
  table["LessOrEqual"] = compare<nn::Predicate::Le>;
  table["Greater"] = compare<nn::Predicate::Gt>;
  table["GreaterOrEqual"] = compare<nn::Predicate::Ge>;
  table["Gelu"] = table["com.microsoft:Gelu"] = lowerGelu;
  table["LeakyRelu"] = lowerLeakyRelu;
  table["Elu"] = lowerElu;
  table["HardSigmoid"] = lowerHardSigmoid;
  table["HardSwish"] = lowerHardSwish;
  table["Swish"] = lowerSwish;
  table["PRelu"] = lowerPRelu;
  table["IsInf"] = lowerIsInf;
  table["Clip"] = lowerClip;
  table["Where"] = lowerWhere;
  table["Cast"] = lowerCast;
  table["CastLike"] = lowerCastLike;
  table["Identity"] = lowerIdentity;
  table["Dropout"] = lowerDropout;
}
