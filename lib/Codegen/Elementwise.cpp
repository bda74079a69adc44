#include "Evaluator.h"
#include "MathF64.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

namespace {

/// Applies one operator; x, y, z are its operands in registers, `element` the element type of its first operand in memory.
struct Pointwise {
  Emitter &e;
  Operation *op;
  ArrayRef<Value> operands;
  Type type, element;
  Value x, y, z;

  Pointwise(Emitter &e, Operation *op, ArrayRef<Value> operands)
      : e(e), op(op), operands(operands), type(operands[0].getType()),
        element(tensorType(op->getOperand(0)).getElementType()), x(operands[0]),
        y(operands.size() > 1 ? operands[1] : Value()), z(operands.size() > 2 ? operands[2] : Value()) {}

  bool isFloat() const { return isa<FloatType>(element); }
  bool isDouble() const { return element.isF64(); }
  bool isUnsigned() const { return element.isUnsignedInteger() || element.isInteger(1); }
  Value number(double value) { return e.constant(type, value); }
  template <typename Op> Value make(Value a, Value b) { return Op::create(e.b, e.loc, a, b); }
  template <typename Op> Value make(Value a) { return Op::create(e.b, e.loc, a); }
  Value addF(Value a, Value b) { return arith::AddFOp::create(e.b, e.loc, a, b, arith::FastMathFlags::contract); }
  Value subF(Value a, Value b) { return arith::SubFOp::create(e.b, e.loc, a, b, arith::FastMathFlags::contract); }
  Value mulF(Value a, Value b) { return arith::MulFOp::create(e.b, e.loc, a, b, arith::FastMathFlags::contract); }
  Value divF(Value a, Value b) { return arith::DivFOp::create(e.b, e.loc, a, b); }
  Value is(arith::CmpFPredicate p, Value a, Value b) { return arith::CmpFOp::create(e.b, e.loc, p, a, b); }
  Value isI(arith::CmpIPredicate p, Value a, Value b) { return arith::CmpIOp::create(e.b, e.loc, p, a, b); }
  Value choose(Value c, Value a, Value b) { return e.select(c, a, b); }
  Type likeX(Type scalar) {
    auto vector = dyn_cast<VectorType>(type);
    return vector ? Type(VectorType::get(vector.getShape(), scalar)) : scalar;
  }

  Value exp(Value v) { return isDouble() ? f64::exp(e, v) : make<math::ExpOp>(v); }
  Value log(Value v) { return isDouble() ? f64::log(e, v) : make<math::LogOp>(v); }
  Value log1p(Value v) { return isDouble() ? f64::log(e, addF(v, number(1))) : make<math::Log1pOp>(v); }
  Value expm1(Value v) { return isDouble() ? subF(f64::exp(e, v), number(1)) : make<math::ExpM1Op>(v); }
  Value tanh(Value v) { return isDouble() ? f64::tanh(e, v) : make<math::TanhOp>(v); }
  Value erf(Value v) { return isDouble() ? f64::erf(e, v) : make<math::ErfOp>(v); }
  Value sigmoid(Value v) { return divF(number(1), addF(number(1), exp(subF(number(0), v)))); }

  Value relu() {
    if (isFloat()) // keeps NaN
      return choose(is(arith::CmpFPredicate::OLT, x, number(0)), number(0), x);
    return isUnsigned() ? x : make<arith::MaxSIOp>(x, number(0));
  }

  Value abs() {
    if (isFloat())
      return make<math::AbsFOp>(x);
    return isUnsigned() ? x : make<arith::MaxSIOp>(x, make<arith::SubIOp>(number(0), x));
  }

  Value sign() {
    if (!isFloat()) {
      Value positive = choose(isI(isUnsigned() ? arith::CmpIPredicate::ugt : arith::CmpIPredicate::sgt, x, number(0)),
                              number(1), number(0));
      return isUnsigned() ? positive : choose(isI(arith::CmpIPredicate::slt, x, number(0)), number(-1), positive);
    }
    Value negative = choose(is(arith::CmpFPredicate::OLT, x, number(0)), number(-1), x);
    return choose(is(arith::CmpFPredicate::OGT, x, number(0)), number(1), negative);
  }

  Value gelu(bool byTanh) {
    Value half = mulF(x, number(0.5));
    if (!byTanh)
      return mulF(half, addF(number(1), erf(mulF(x, number(M_SQRT1_2)))));
    Value cubic = mulF(mulF(x, x), number(0.044715));
    Value inner = mulF(mulF(x, number(std::sqrt(2 / M_PI))), addF(cubic, number(1)));
    return mulF(half, addF(number(1), tanh(inner)));
  }

  Value softplus() {
    Value positive = choose(is(arith::CmpFPredicate::OLT, x, number(0)), number(0), x);
    Value small = exp(subF(number(0), make<math::AbsFOp>(x)));
    return addF(positive, log1p(small));
  }

  /// Truncates; division by zero gives x and -x / -1 wraps, since neither may stop the process.
  Value divideInt(Value a, Value b) {
    Value one = number(1), zero = number(0);
    Value isZero = isI(arith::CmpIPredicate::eq, b, zero);
    if (isUnsigned())
      return make<arith::DivUIOp>(a, choose(isZero, one, b));
    Value isMinusOne = isI(arith::CmpIPredicate::eq, b, number(-1));
    Value safe = choose(make<arith::OrIOp>(isZero, isMinusOne), one, b);
    return choose(isMinusOne, make<arith::SubIOp>(zero, a), make<arith::DivSIOp>(a, safe));
  }

  Value modulo(bool fmod) {
    if (!isFloat()) {
      Value rest = make<arith::SubIOp>(x, make<arith::MulIOp>(divideInt(x, y), y));
      if (fmod || isUnsigned())
        return rest;
      Value zero = number(0);
      Value differs = isI(arith::CmpIPredicate::slt, make<arith::XOrIOp>(rest, y), zero);
      Value fix = make<arith::AndIOp>(differs, isI(arith::CmpIPredicate::ne, rest, zero));
      return choose(fix, make<arith::AddIOp>(rest, y), rest);
    }
    return isDouble() ? modDouble(x, y, fmod) : narrow(modDouble(widen(x), widen(y), fmod));
  }

  Value widen(Value v) { return arith::ExtFOp::create(e.b, e.loc, likeX(e.b.getF64Type()), v); }
  Value narrow(Value v) { return arith::TruncFOp::create(e.b, e.loc, likeX(e.b.getF32Type()), v); }

  Value modDouble(Value a, Value b, bool fmod) {
    Value quotient = arith::DivFOp::create(e.b, e.loc, a, b);
    quotient =
        fmod ? Value(math::TruncOp::create(e.b, e.loc, quotient)) : Value(math::FloorOp::create(e.b, e.loc, quotient));
    Value minus = arith::NegFOp::create(e.b, e.loc, quotient);
    return math::FmaOp::create(e.b, e.loc, minus, b, a);
  }

  /// x^y in doubles: e^(y log |x|), with the sign of whole odd powers and the special cases of C's pow.
  Value powDouble(Value a, Value b) {
    Type wide = a.getType();
    Value zero = e.constant(wide, 0), one = e.constant(wide, 1);
    Value power = f64::exp(e, arith::MulFOp::create(e.b, e.loc, b, f64::log(e, math::AbsFOp::create(e.b, e.loc, a))));
    Value whole = is(arith::CmpFPredicate::OEQ, math::FloorOp::create(e.b, e.loc, b), b);
    Value half = arith::MulFOp::create(e.b, e.loc, b, e.constant(wide, 0.5));
    Value odd =
        make<arith::AndIOp>(whole, is(arith::CmpFPredicate::ONE, math::FloorOp::create(e.b, e.loc, half), half));
    Value negative = is(arith::CmpFPredicate::OLT, a, zero);
    Value sign = choose(make<arith::AndIOp>(negative, odd), e.constant(wide, -1), one);
    Value result = arith::MulFOp::create(e.b, e.loc, sign, power);
    Value nan = e.constant(wide, std::nan(""));
    Value broken =
        make<arith::AndIOp>(negative, is(arith::CmpFPredicate::UNE, math::FloorOp::create(e.b, e.loc, b), b));
    result = choose(broken, nan, result);
    Value trivial = make<arith::OrIOp>(is(arith::CmpFPredicate::OEQ, b, zero), is(arith::CmpFPredicate::OEQ, a, one));
    return choose(trivial, one, result);
  }

  Value powInt(Value base, Value exponent) {
    Value result = number(1), zero = number(0), bits = exponent;
    // Bit by bit; exponents of 64 and more only occur with bases 0, 1 and -1, where six bits and the parity are enough.
    for (int bit = 0; bit < 6; ++bit) {
      Value set = isI(arith::CmpIPredicate::ne, make<arith::AndIOp>(bits, number(1)), zero);
      result = choose(set, make<arith::MulIOp>(result, base), result);
      base = make<arith::MulIOp>(base, base);
      bits = make<arith::ShRUIOp>(bits, number(1));
    }
    if (isUnsigned())
      return result;
    Value isUnit = isI(arith::CmpIPredicate::ule, make<arith::AddIOp>(x, number(1)), number(2));
    Value negative = isI(arith::CmpIPredicate::slt, exponent, zero);
    return choose(isUnit, result, choose(negative, zero, result));
  }

  Value pow() {
    Type right = tensorType(op->getOperand(1)).getElementType();
    if (registerType(right) != getElementTypeOrSelf(type))
      y = convert(y, right, element);
    if (!isFloat())
      return powInt(x, y);
    std::optional<double> exponent = splatOf(op->getOperand(1));
    if (exponent == 1.0)
      return x;
    if (exponent == 2.0)
      return mulF(x, x);
    if (exponent == 3.0)
      return mulF(mulF(x, x), x);
    if (exponent == 0.5)
      return make<math::SqrtOp>(x);
    if (exponent == -1.0)
      return divF(number(1), x);
    return isDouble() ? powDouble(x, y) : narrow(powDouble(widen(x), widen(y)));
  }

  Value compare(nn::Predicate predicate) {
    using F = arith::CmpFPredicate;
    using I = arith::CmpIPredicate;
    bool isU = isUnsigned();
    switch (predicate) {
    case nn::Predicate::Eq:
      return isFloat() ? is(F::OEQ, x, y) : isI(I::eq, x, y);
    case nn::Predicate::Ne:
      return isFloat() ? is(F::UNE, x, y) : isI(I::ne, x, y);
    case nn::Predicate::Lt:
      return isFloat() ? is(F::OLT, x, y) : isI(isU ? I::ult : I::slt, x, y);
    case nn::Predicate::Le:
      return isFloat() ? is(F::OLE, x, y) : isI(isU ? I::ule : I::sle, x, y);
    case nn::Predicate::Gt:
      return isFloat() ? is(F::OGT, x, y) : isI(isU ? I::ugt : I::sgt, x, y);
    case nn::Predicate::Ge:
      return isFloat() ? is(F::OGE, x, y) : isI(isU ? I::uge : I::sge, x, y);
    }
    return {};
  }

  /// `v` of memory type `from` as memory type `to`.
  Value convert(Value v, Type from, Type to) {
    Type target = registerType(to), result = likeX(target), source = getElementTypeOrSelf(v.getType());
    bool fromUnsigned = from.isUnsignedInteger() || from.isInteger(1), toUnsigned = to.isUnsignedInteger();
    auto zero = [&] { return e.constant(v.getType(), 0); };
    if (to.isInteger(1) && isa<FloatType>(from))
      return is(arith::CmpFPredicate::UNE, v, zero());
    if (to.isInteger(1))
      return from.isInteger(1) ? v : isI(arith::CmpIPredicate::ne, v, zero());
    if (source == target)
      return v;
    unsigned fromBits = source.getIntOrFloatBitWidth(), toBits = target.getIntOrFloatBitWidth();
    if (isa<FloatType>(from) && isa<FloatType>(to))
      return fromBits < toBits ? Value(arith::ExtFOp::create(e.b, e.loc, result, v))
                               : Value(arith::TruncFOp::create(e.b, e.loc, result, v));
    if (isa<FloatType>(to))
      return fromUnsigned ? Value(arith::UIToFPOp::create(e.b, e.loc, result, v))
                          : Value(arith::SIToFPOp::create(e.b, e.loc, result, v));
    if (isa<FloatType>(from)) {
      if (toUnsigned && toBits == 64)
        return arith::FPToUIOp::create(e.b, e.loc, result, v);
      if (toBits >= 64)
        return arith::FPToSIOp::create(e.b, e.loc, result, v);
      Value wide = arith::FPToSIOp::create(e.b, e.loc, likeX(e.b.getI64Type()), v);
      return arith::TruncIOp::create(e.b, e.loc, result, wide);
    }
    if (fromBits > toBits)
      return arith::TruncIOp::create(e.b, e.loc, result, v);
    return fromUnsigned ? Value(arith::ExtUIOp::create(e.b, e.loc, result, v))
                        : Value(arith::ExtSIOp::create(e.b, e.loc, result, v));
  }

  Value apply();
};

} // namespace

Value Pointwise::apply() {
  using F = arith::CmpFPredicate;
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::NegOp) { return isFloat() ? make<arith::NegFOp>(x) : make<arith::SubIOp>(number(0), x); })
      .Case([&](nn::AbsOp) { return abs(); })
      .Case([&](nn::SignOp) { return sign(); })
      .Case([&](nn::ExpOp) { return exp(x); })
      .Case([&](nn::LogOp) { return log(x); })
      .Case([&](nn::SqrtOp) { return make<math::SqrtOp>(x); })
      .Case([&](nn::RsqrtOp) { return divF(number(1), make<math::SqrtOp>(x)); })
      .Case([&](nn::ReciprocalOp) { return divF(number(1), x); })
      .Case([&](nn::SinOp) { return isDouble() ? f64::sin(e, x) : narrow(f64::sin(e, widen(x))); })
      .Case([&](nn::CosOp) { return isDouble() ? f64::cos(e, x) : narrow(f64::cos(e, widen(x))); })
      .Case([&](nn::TanhOp) { return tanh(x); })
      .Case([&](nn::ErfOp) { return erf(x); })
      .Case([&](nn::FloorOp) { return make<math::FloorOp>(x); })
      .Case([&](nn::CeilOp) { return make<math::CeilOp>(x); })
      .Case([&](nn::RoundOp) { return make<math::RoundEvenOp>(x); })
      .Case([&](nn::SigmoidOp) { return sigmoid(x); })
      .Case([&](nn::ReluOp) { return relu(); })
      .Case([&](nn::SiluOp) { return mulF(x, sigmoid(x)); })
      .Case([&](nn::SoftplusOp) { return softplus(); })
      .Case([&](nn::NotOp) { return make<arith::XOrIOp>(x, number(1)); })
      .Case([&](nn::GeluOp gelu) { return this->gelu(gelu.getTanh()); })
      .Case([&](nn::LeakyReluOp leaky) {
        return choose(is(F::OLT, x, number(0)), mulF(x, number(leaky.getAlpha().convertToDouble())), x);
      })
      .Case([&](nn::EluOp elu) {
        return choose(is(F::OLT, x, number(0)), mulF(number(elu.getAlpha().convertToDouble()), expm1(x)), x);
      })
      .Case([&](nn::HardSigmoidOp hard) {
        Value line = addF(mulF(x, number(hard.getAlpha().convertToDouble())), number(hard.getBeta().convertToDouble()));
        line = choose(is(F::OLT, line, number(0)), number(0), line);
        return choose(is(F::OGT, line, number(1)), number(1), line);
      })
      .Case([&](nn::IsNanOp) { return is(F::UNO, x, x); })
      .Case([&](nn::AddOp) { return isFloat() ? addF(x, y) : make<arith::AddIOp>(x, y); })
      .Case([&](nn::SubOp) { return isFloat() ? subF(x, y) : make<arith::SubIOp>(x, y); })
      .Case([&](nn::MulOp) { return isFloat() ? mulF(x, y) : make<arith::MulIOp>(x, y); })
      .Case([&](nn::DivOp) { return isFloat() ? divF(x, y) : divideInt(x, y); })
      .Case([&](nn::PowOp) { return pow(); })
      .Case([&](nn::MaxOp) {
        return isFloat()      ? make<arith::MaximumFOp>(x, y)
               : isUnsigned() ? make<arith::MaxUIOp>(x, y)
                              : make<arith::MaxSIOp>(x, y);
      })
      .Case([&](nn::MinOp) {
        return isFloat()      ? make<arith::MinimumFOp>(x, y)
               : isUnsigned() ? make<arith::MinUIOp>(x, y)
                              : make<arith::MinSIOp>(x, y);
      })
      .Case([&](nn::ModOp mod) { return modulo(mod.getFmod()); })
      .Case([&](nn::AndOp) { return make<arith::AndIOp>(x, y); })
      .Case([&](nn::OrOp) { return make<arith::OrIOp>(x, y); })
      .Case([&](nn::XorOp) { return make<arith::XOrIOp>(x, y); })
      .Case([&](nn::CompareOp op) { return compare(op.getPredicate()); })
      .Case([&](nn::SelectOp) { return choose(x, y, z); })
      .Case([&](nn::CastOp cast) { return convert(x, element, tensorType(cast.getResult()).getElementType()); });
}

Value mpopt::codegen::applyElementwise(Emitter &e, Operation *op, ArrayRef<Value> operands) {
  return Pointwise(e, op, operands).apply();
}
