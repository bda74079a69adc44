// Elementwise operators, constants and casts.
#include "Evaluators.h"
#include "Wrap.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

namespace {

constexpr int64_t kGarbage = 1000000007;

/// f(double) and f(int64_t), where the operator has both.
template <typename Op, typename F> void addUnary(Evaluators &to, F f) {
  to.add<Op>([f](Op, Operands in, Results out) {
    for (int64_t i = 0; i < out[0].size(); ++i)
      if (in[0]->isFloat())
        out[0].floats[i] = f(in[0]->floats[i]);
      else
        out[0].ints[i] = f(in[0]->ints[i]);
  });
}

/// Operators of floats alone, which may read attributes: f(op, x).
template <typename Op, typename F> void addFloat(Evaluators &to, F f) {
  to.add<Op>([f](Op op, Operands in, Results out) {
    for (int64_t i = 0; i < out[0].size(); ++i)
      out[0].floats[i] = f(op, in[0]->floats[i]);
  });
}

/// f(op, a, b) on doubles and on integers; the result is of the operands' kind.
template <typename Op, typename F> void addBinary(Evaluators &to, F f) {
  to.add<Op>([f](Op op, Operands in, Results out) {
    forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
      int64_t a = in[0]->atBroadcast(index), b = in[1]->atBroadcast(index);
      if (in[0]->isFloat())
        out[0].floats[i] = f(op, in[0]->floats[a], in[1]->floats[b]);
      else
        out[0].ints[i] = f(op, in[0]->ints[a], in[1]->ints[b]);
    });
  });
}

// Padding may hold anything, so division by zero must not trap.
int64_t divide(int64_t a, int64_t b) { return b == 0 ? kGarbage : b == -1 ? Wrap::sub(int64_t(0), a) : a / b; }
double divide(double a, double b) { return a / b; }

int64_t remainder(int64_t a, int64_t b) { return b == 0 ? kGarbage : b == -1 ? 0 : a % b; }
double remainder(double a, double b) { return std::fmod(a, b); }

template <typename T> T modulo(nn::ModOp op, T a, T b) {
  T r = remainder(a, b);
  return op.getFmod() || r == 0 || (r < 0) == (b < 0) ? r : r + b;
}

double power(double a, double b) { return std::pow(a, b); }
int64_t power(int64_t a, int64_t b) {
  if (b < 0)
    return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  int64_t result = 1;
  for (; b; b >>= 1, a = Wrap::mul(a, a))
    if (b & 1)
      result = Wrap::mul(result, a);
  return result;
}

double larger(double a, double b) { return std::isnan(a) ? a : std::isnan(b) ? b : std::max(a, b); }
int64_t larger(int64_t a, int64_t b) { return std::max(a, b); }
double smaller(double a, double b) { return std::isnan(a) ? a : std::isnan(b) ? b : std::min(a, b); }
int64_t smaller(int64_t a, int64_t b) { return std::min(a, b); }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

template <typename T> bool holds(nn::Predicate predicate, T a, T b) {
  switch (predicate) {
  case nn::Predicate::Eq:
    return a == b;
  case nn::Predicate::Ne:
    return a != b;
  case nn::Predicate::Lt:
    return a < b;
  case nn::Predicate::Le:
    return a <= b;
  case nn::Predicate::Gt:
    return a > b;
  case nn::Predicate::Ge:
    return a >= b;
  }
  llvm_unreachable("all predicates are above");
}

void compare(nn::CompareOp op, Operands in, Results out) {
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    int64_t a = in[0]->atBroadcast(index), b = in[1]->atBroadcast(index);
    out[0].ints[i] = in[0]->isFloat() ? holds(op.getPredicate(), in[0]->floats[a], in[1]->floats[b])
                                      : holds(op.getPredicate(), in[0]->ints[a], in[1]->ints[b]);
  });
}

void selectElements(nn::SelectOp, Operands in, Results out) {
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    const Tensor &from = *in[in[0]->ints[in[0]->atBroadcast(index)] ? 1 : 2];
    out[0].copy(i, from, from.atBroadcast(index));
  });
}

void castElements(nn::CastOp, Operands in, Results out) {
  for (int64_t i = 0; i < out[0].size(); ++i) {
    if (out[0].element.isInteger(1))
      out[0].ints[i] = in[0]->number(i) != 0;
    else if (!out[0].isFloat() && !in[0]->isFloat())
      out[0].ints[i] = in[0]->ints[i];
    else
      out[0].setNumber(i, in[0]->number(i));
  }
}

void constant(nn::ConstantOp op, Operands, Results out) {
  ElementsAttr value = op.getValue();
  if (out[0].isFloat())
    for (auto [i, element] : llvm::enumerate(value.getValues<APFloat>()))
      out[0].floats[i] = element.convertToDouble();
  else
    for (auto [i, element] : llvm::enumerate(value.getValues<APInt>()))
      out[0].ints[i] = element.getBitWidth() == 1 ? element.getZExtValue() : element.getSExtValue();
}

void iota(nn::IotaOp op, Operands, Results out) {
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    out[0].setNumber(i, op.getStart().convertToDouble() +
                            op.getStep().convertToDouble() * static_cast<double>(index[op.getAxis()]));
  });
}

template <typename T> T signOf(T x) { return x != x ? x : T((x > 0) - (x < 0)); }

void addSigned(Evaluators &to) {
  addUnary<nn::NegOp>(to, [](auto x) { return Wrap::sub(decltype(x)(0), x); });
  addUnary<nn::AbsOp>(to, [](auto x) { return x < 0 ? Wrap::sub(decltype(x)(0), x) : x; });
  addUnary<nn::SignOp>(to, [](auto x) { return signOf(x); });
  addUnary<nn::ReluOp>(to, [](auto x) { return larger(x, decltype(x)(0)); });
  to.add<nn::NotOp>([](nn::NotOp, Operands in, Results out) {
    for (int64_t i = 0; i < out[0].size(); ++i)
      out[0].ints[i] = !in[0]->ints[i];
  });
}

void addFloats(Evaluators &to) {
  addFloat<nn::ExpOp>(to, [](auto, double x) { return std::exp(x); });
  addFloat<nn::LogOp>(to, [](auto, double x) { return std::log(x); });
  addFloat<nn::SqrtOp>(to, [](auto, double x) { return std::sqrt(x); });
  addFloat<nn::RsqrtOp>(to, [](auto, double x) { return 1 / std::sqrt(x); });
  addFloat<nn::ReciprocalOp>(to, [](auto, double x) { return 1 / x; });
  addFloat<nn::SinOp>(to, [](auto, double x) { return std::sin(x); });
  addFloat<nn::CosOp>(to, [](auto, double x) { return std::cos(x); });
  addFloat<nn::TanhOp>(to, [](auto, double x) { return std::tanh(x); });
  addFloat<nn::ErfOp>(to, [](auto, double x) { return std::erf(x); });
  addFloat<nn::FloorOp>(to, [](auto, double x) { return std::floor(x); });
  addFloat<nn::CeilOp>(to, [](auto, double x) { return std::ceil(x); });
  addFloat<nn::RoundOp>(to, [](auto, double x) { return std::nearbyint(x); });
  addFloat<nn::SigmoidOp>(to, [](auto, double x) { return sigmoid(x); });
  addFloat<nn::SiluOp>(to, [](auto, double x) { return x * sigmoid(x); });
  addFloat<nn::SoftplusOp>(to, [](auto, double x) { return larger(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); });
  addFloat<nn::GeluOp>(to, [](nn::GeluOp op, double x) {
    double cubic = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    return x * 0.5 * (1 + (op.getTanh() ? std::tanh(cubic) : std::erf(x / std::sqrt(2.0))));
  });
  addFloat<nn::LeakyReluOp>(
      to, [](nn::LeakyReluOp op, double x) { return x < 0 ? op.getAlpha().convertToDouble() * x : x; });
  addFloat<nn::EluOp>(
      to, [](nn::EluOp op, double x) { return x < 0 ? op.getAlpha().convertToDouble() * std::expm1(x) : x; });
  addFloat<nn::HardSigmoidOp>(to, [](nn::HardSigmoidOp op, double x) {
    return larger(0.0, smaller(1.0, op.getAlpha().convertToDouble() * x + op.getBeta().convertToDouble()));
  });
  to.add<nn::IsNanOp>([](nn::IsNanOp, Operands in, Results out) {
    for (int64_t i = 0; i < out[0].size(); ++i)
      out[0].ints[i] = std::isnan(in[0]->floats[i]);
  });
}

void addBinaries(Evaluators &to) {
  addBinary<nn::AddOp>(to, [](auto, auto a, auto b) { return Wrap::add(a, b); });
  addBinary<nn::SubOp>(to, [](auto, auto a, auto b) { return Wrap::sub(a, b); });
  addBinary<nn::MulOp>(to, [](auto, auto a, auto b) { return Wrap::mul(a, b); });
  addBinary<nn::DivOp>(to, [](auto, auto a, auto b) { return divide(a, b); });
  addBinary<nn::PowOp>(to, [](auto, auto a, auto b) { return power(a, b); });
  addBinary<nn::MaxOp>(to, [](auto, auto a, auto b) { return larger(a, b); });
  addBinary<nn::MinOp>(to, [](auto, auto a, auto b) { return smaller(a, b); });
  addBinary<nn::ModOp>(to, [](nn::ModOp op, auto a, auto b) { return modulo(op, a, b); });
  addBinary<nn::AndOp>(to, [](auto, auto a, auto b) { return int64_t(a) & int64_t(b); });
  addBinary<nn::OrOp>(to, [](auto, auto a, auto b) { return int64_t(a) | int64_t(b); });
  addBinary<nn::XorOp>(to, [](auto, auto a, auto b) { return int64_t(a) ^ int64_t(b); });
}

} // namespace

void mpopt::interp::addElementwise(Evaluators &to) {
  addSigned(to);
  addFloats(to);
  addBinaries(to);
  to.add<nn::CompareOp>(compare);
  to.add<nn::SelectOp>(selectElements);
  to.add<nn::CastOp>(castElements);
  to.add<nn::ConstantOp>(constant);
  to.add<nn::IotaOp>(iota);
  to.add<nn::WeightOp>([](nn::WeightOp op, Operands, Results out) {
    out[0] = randomTensor(cast<RankedTensorType>(op.getType()), hashName(op.getName()));
  });
}
