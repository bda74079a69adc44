#include "MathF64.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mpopt::codegen;

namespace {

/// Arithmetic on values of one shape.
struct Calc {
  Emitter &e;
  Type type, bits;

  Calc(Emitter &e, Value like) : e(e), type(like.getType()) {
    bits = e.b.getI64Type();
    if (auto vector = dyn_cast<VectorType>(type))
      bits = VectorType::get(vector.getShape(), bits);
  }

  Value number(double value) { return e.constant(type, value); }
  Value integer(int64_t value) {
    auto attr = e.b.getI64IntegerAttr(value);
    if (auto vector = dyn_cast<VectorType>(bits))
      return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(vector, Attribute(attr)));
    return arith::ConstantOp::create(e.b, e.loc, attr);
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(e.b, e.loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(e.b, e.loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(e.b, e.loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(e.b, e.loc, x, y); }
  Value round(Value x) { return math::RoundEvenOp::create(e.b, e.loc, x); }
  Value abs(Value x) { return math::AbsFOp::create(e.b, e.loc, x); }
  Value toInt(Value x) { return arith::FPToSIOp::create(e.b, e.loc, bits, x); }
  Value toFloat(Value x) { return arith::SIToFPOp::create(e.b, e.loc, type, x); }
  Value asBits(Value x) { return arith::BitcastOp::create(e.b, e.loc, bits, x); }
  Value asFloat(Value x) { return arith::BitcastOp::create(e.b, e.loc, type, x); }
  Value addI(Value x, Value y) { return arith::AddIOp::create(e.b, e.loc, x, y); }
  Value subI(Value x, Value y) { return arith::SubIOp::create(e.b, e.loc, x, y); }
  Value andI(Value x, Value y) { return arith::AndIOp::create(e.b, e.loc, x, y); }
  Value orI(Value x, Value y) { return arith::OrIOp::create(e.b, e.loc, x, y); }
  Value shl(Value x, int64_t n) { return arith::ShLIOp::create(e.b, e.loc, x, integer(n)); }
  Value shr(Value x, int64_t n) { return arith::ShRSIOp::create(e.b, e.loc, x, integer(n)); }
  Value is(arith::CmpFPredicate p, Value x, Value y) { return arith::CmpFOp::create(e.b, e.loc, p, x, y); }
  Value isI(arith::CmpIPredicate p, Value x, Value y) { return arith::CmpIOp::create(e.b, e.loc, p, x, y); }
  Value choose(Value condition, Value x, Value y) { return e.select(condition, x, y); }
  Value clamp(Value x, double low, double high) {
    x = choose(is(arith::CmpFPredicate::OLT, x, number(low)), number(low), x);
    return choose(is(arith::CmpFPredicate::OGT, x, number(high)), number(high), x);
  }
  /// Coefficients from the highest power down.
  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value sum = number(coefficients[0]);
    for (double c : coefficients.drop_front())
      sum = e.fma(sum, x, number(c));
    return sum;
  }
  /// 2^n for |n| < 1023.
  Value powerOfTwo(Value n) { return asFloat(shl(addI(n, integer(1023)), 52)); }
};

constexpr double ln2High = 6.93147180369123816490e-01, ln2Low = 1.90821492927058770002e-10;

} // namespace

Value mpopt::codegen::f64::exp(Emitter &e, Value x) {
  Calc c(e, x);
  Value nan = c.is(arith::CmpFPredicate::UNO, x, x);
  Value bounded = c.clamp(c.choose(nan, c.number(0), x), -760, 760);
  Value n = c.round(c.mul(bounded, c.number(1 / M_LN2)));
  Value r = e.fma(n, c.number(-ln2High), bounded);
  r = e.fma(n, c.number(-ln2Low), r);
  SmallVector<double> taylor;
  for (int k = 13; k >= 0; --k)
    taylor.push_back(1 / std::tgamma(k + 1.0));
  Value p = c.polynomial(r, taylor);
  // In two factors, so that results down to the subnormal and up to infinity come out.
  Value whole = c.toInt(n), half = c.shr(whole, 1);
  Value result = c.mul(c.mul(p, c.powerOfTwo(half)), c.powerOfTwo(c.subI(whole, half)));
  return c.choose(nan, x, result);
}

Value mpopt::codegen::f64::log(Emitter &e, Value x) {
  Calc c(e, x);
  Value tiny = c.is(arith::CmpFPredicate::OLT, x, c.number(2.2250738585072014e-308));
  Value scaled = c.choose(tiny, c.mul(x, c.number(0x1p54)), x);
  Value raw = c.asBits(scaled);
  Value exponent = c.subI(c.andI(c.shr(raw, 52), c.integer(0x7ff)), c.integer(1023));
  Value mantissa = c.asFloat(c.orI(c.andI(raw, c.integer(0xfffffffffffff)), c.integer(0x3ff0000000000000)));
  Value large = c.is(arith::CmpFPredicate::OGT, mantissa, c.number(M_SQRT2));
  mantissa = c.choose(large, c.mul(mantissa, c.number(0.5)), mantissa);
  exponent = c.choose(large, c.addI(exponent, c.integer(1)), exponent);
  exponent = c.choose(tiny, c.subI(exponent, c.integer(54)), exponent);
  // log m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172.
  Value s = c.div(c.sub(mantissa, c.number(1)), c.add(mantissa, c.number(1)));
  Value s2 = c.mul(s, s);
  SmallVector<double> series;
  for (int k = 21; k >= 3; k -= 2)
    series.push_back(2.0 / k);
  Value tail = c.mul(c.mul(s, s2), c.polynomial(s2, series));
  Value n = c.toFloat(exponent);
  Value result = e.fma(n, c.number(ln2Low), c.add(c.mul(s, c.number(2)), tail));
  result = e.fma(n, c.number(ln2High), result);
  double infinity = std::numeric_limits<double>::infinity();
  result = c.choose(c.is(arith::CmpFPredicate::OEQ, x, c.number(0)), c.number(-infinity), result);
  result = c.choose(c.is(arith::CmpFPredicate::OEQ, x, c.number(infinity)), x, result);
  return c.choose(c.is(arith::CmpFPredicate::ULT, x, c.number(0)), c.number(std::numeric_limits<double>::quiet_NaN()),
                  result);
}

Value mpopt::codegen::f64::tanh(Emitter &e, Value x) {
  Calc c(e, x);
  Value t = exp(e, c.mul(c.abs(x), c.number(-2)));
  Value positive = c.div(c.sub(c.number(1), t), c.add(c.number(1), t));
  // Near zero the difference cancels; the series does not.
  Value x2 = c.mul(x, x);
  Value small = c.mul(x, c.polynomial(x2, {-1382.0 / 155925, 62.0 / 2835, -17.0 / 315, 2.0 / 15, -1.0 / 3, 1}));
  Value isSmall = c.is(arith::CmpFPredicate::OLT, c.abs(x), c.number(0.03));
  return c.choose(isSmall, small, math::CopySignOp::create(e.b, e.loc, positive, x));
}

/// erf x = 2 / sqrt(pi) e^(-x^2) sum (2 x^2)^n x / (2n + 1)!!, all terms positive; 120 terms are enough up to 6, where erf is 1.
Value mpopt::codegen::f64::erf(Emitter &e, Value x) {
  Calc c(e, x);
  Value bounded = c.clamp(x, -6, 6), x2 = c.mul(bounded, bounded), twice = c.mul(x2, c.number(2));
  int64_t lanes = isa<VectorType>(x.getType()) ? cast<VectorType>(x.getType()).getNumElements() : 1;
  SmallVector<Value> sum = e.loop(0, 120, 1, {c.number(1)}, [&](Value i, ValueRange carried) -> SmallVector<Value> {
    // Horner from the last term: sum = 1 + 2 x^2 / (2n + 1) * sum, n = 120 - i.
    Value n = e.sub(e.i64(241), e.mul(i, 2));
    Value divisor = e.splat(arith::SIToFPOp::create(e.b, e.loc, e.b.getF64Type(), n), lanes);
    return {e.fma(c.div(twice, divisor), carried[0], c.number(1))};
  });
  Value scale = c.mul(c.number(M_2_SQRTPI), exp(e, c.sub(c.number(0), x2)));
  return c.mul(c.mul(scale, bounded), sum[0]);
}

/// sin of x + quarter * pi / 2.
static Value sine(Emitter &e, Value x, int64_t quarter) {
  Calc c(e, x);
  Value n = c.round(c.mul(x, c.number(M_2_PI)));
  Value r = e.fma(n, c.number(-1.57079632673412561417e+00), x);
  r = e.fma(n, c.number(-6.07710050630396597660e-11), r);
  r = e.fma(n, c.number(-2.02226624879595063154e-21), r);
  Value r2 = c.mul(r, r);
  SmallVector<double> odd, even;
  for (int k = 8; k >= 0; --k) {
    odd.push_back((k % 2 ? -1 : 1) / std::tgamma(2 * k + 2.0));
    even.push_back((k % 2 ? -1 : 1) / std::tgamma(2 * k + 1.0));
  }
  Value bounded = c.clamp(n, -0x1p52, 0x1p52);
  Value turn =
      c.addI(c.toInt(c.choose(c.is(arith::CmpFPredicate::UNO, n, n), c.number(0), bounded)), c.integer(quarter));
  Value isOdd = c.isI(arith::CmpIPredicate::ne, c.andI(turn, c.integer(1)), c.integer(0));
  Value value = c.choose(isOdd, c.polynomial(r2, even), c.mul(r, c.polynomial(r2, odd)));
  Value negative = c.isI(arith::CmpIPredicate::ne, c.andI(turn, c.integer(2)), c.integer(0));
  return c.choose(negative, c.sub(c.number(0), value), value);
}

Value mpopt::codegen::f64::sin(Emitter &e, Value x) { return sine(e, x, 0); }
Value mpopt::codegen::f64::cos(Emitter &e, Value x) { return sine(e, x, 1); }
