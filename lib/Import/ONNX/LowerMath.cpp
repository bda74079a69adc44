// Elementwise ONNX operators that are composed of simpler ones: trigonometry and bits.
#include "Node.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

Value exp(Node &n, Value x) { return n.make<nn::ExpOp>({x}); }
Value log(Node &n, Value x) { return n.make<nn::LogOp>({x}); }
Value sqrt(Node &n, Value x) { return n.make<nn::SqrtOp>({x}); }
Value abs(Node &n, Value x) { return n.make<nn::AbsOp>({x}); }
Value square(Node &n, Value x) { return n.mul(x, x); }
Value below(Node &n, Value x, double bound) { return n.compare(nn::Predicate::Lt, x, n.like(x, bound)); }

/// c[0] + c[1] x + c[2] x^2 + ...
Value polynomial(Node &n, Value x, ArrayRef<double> coefficients) {
  Value sum = n.like(x, coefficients.back());
  for (double c : llvm::reverse(coefficients.drop_back()))
    sum = n.add(n.mul(sum, x), n.like(x, c));
  return sum;
}

/// atan by reduction to [0, tan(pi / 8)] and the odd polynomial through the Chebyshev nodes there; relative error 1e-11 in doubles.
Value atan(Node &n, Value x) {
  if (!x)
    return x;
  Value size = abs(n, x), outer = n.compare(nn::Predicate::Gt, size, n.like(x, 1));
  Value z = n.select(outer, n.make<nn::ReciprocalOp>({size}), size);
  Value middle = n.compare(nn::Predicate::Gt, z, n.like(x, std::tan(M_PI / 8)));
  Value reduced = n.select(middle, n.div(n.sub(z, n.like(x, 1)), n.add(z, n.like(x, 1))), z);
  SmallVector<double> series; // of atan(u) / u in u^2: at most tan(pi / 8)^2 = 0.17, so that 13 terms leave 1e-11
  for (int i = 0; i < 13; ++i)
    series.push_back((i % 2 ? -1.0 : 1.0) / (2 * i + 1));
  Value angle = n.mul(reduced, polynomial(n, square(n, reduced), series));
  angle = n.add(angle, n.select(middle, n.like(x, M_PI / 4), n.like(x, 0)));
  angle = n.select(outer, n.sub(n.like(x, M_PI / 2), angle), angle);
  return n.select(below(n, x, 0), n.make<nn::NegOp>({angle}), angle);
}

void lowerAtan(Node &n) { n.give(atan(n, n.in(0))); }
void lowerTan(Node &n) { n.give(n.div(n.make<nn::SinOp>({n.in(0)}), n.make<nn::CosOp>({n.in(0)}))); }

/// 2 atan(x / (1 + sqrt(1 - x^2))).
void lowerAsin(Node &n) {
  Value x = n.in(0), root = sqrt(n, n.sub(n.like(x, 1), square(n, x)));
  Value half = atan(n, n.div(x, n.add(root, n.like(x, 1))));
  n.give(n.add(half, half));
}

/// 2 atan(sqrt((1 - x) / (1 + x))).
void lowerAcos(Node &n) {
  Value x = n.in(0), ratio = n.div(n.sub(n.like(x, 1), x), n.add(x, n.like(x, 1)));
  Value half = atan(n, sqrt(n, ratio));
  n.give(n.add(half, half));
}

void lowerCosh(Node &n) {
  Value x = n.in(0);
  n.give(n.mul(n.add(exp(n, x), exp(n, n.make<nn::NegOp>({x}))), n.like(x, 0.5)));
}

/// Near 0 by the series, where the difference of exponentials would cancel.
void lowerSinh(Node &n) {
  Value x = n.in(0);
  Value far = n.mul(n.sub(exp(n, x), exp(n, n.make<nn::NegOp>({x}))), n.like(x, 0.5));
  Value near = n.mul(x, polynomial(n, square(n, x), {1, 1 / 6.0, 1 / 120.0, 1 / 5040.0}));
  n.give(n.select(below(n, abs(n, x), 0.5), near, far));
}

/// sign(x) log(|x| + sqrt(x^2 + 1)), near 0 by the series.
void lowerAsinh(Node &n) {
  Value x = n.in(0), size = abs(n, x);
  Value far = log(n, n.add(size, sqrt(n, n.add(square(n, x), n.like(x, 1)))));
  Value near = n.mul(size, polynomial(n, square(n, x), {1, -1 / 6.0, 3 / 40.0, -15 / 336.0, 105 / 3456.0}));
  n.give(n.mul(n.make<nn::SignOp>({x}), n.select(below(n, size, 0.2), near, far)));
}

void lowerAcosh(Node &n) {
  Value x = n.in(0), one = n.like(x, 1);
  n.give(log(n, n.add(x, sqrt(n, n.mul(n.sub(x, one), n.add(x, one))))));
}

/// log((1 + x) / (1 - x)) / 2, near 0 by the series.
void lowerAtanh(Node &n) {
  Value x = n.in(0), one = n.like(x, 1);
  Value far = n.mul(log(n, n.div(n.add(x, one), n.sub(one, x))), n.like(x, 0.5));
  Value near = n.mul(x, polynomial(n, square(n, x), {1, 1 / 3.0, 1 / 5.0, 1 / 7.0, 1 / 9.0, 1 / 11.0}));
  n.give(n.select(below(n, abs(n, x), 0.2), near, far));
}

void lowerBitwiseNot(Node &n) {
  if (Value x = n.in(0))
    n.give(n.make<nn::XorOp>({x, n.like(x, -1)}));
}

/// Multiplication by and division by powers of two, towards minus infinity.
void lowerBitShift(Node &n) {
  Value x = n.in(0), power = n.make<nn::PowOp>({n.like(x, 2), n.in(1)});
  if (n.textAttr("direction", "") == "LEFT")
    return n.give(n.mul(x, power));
  n.give(n.div(n.sub(x, n.make<nn::ModOp>({x, power})), power));
}

/// The first largest element along the axis becomes 1, the others 0; before operator set 13 the dimensions from the axis on
/// count as one.
void lowerHardmax(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  bool flat = n.version < 13;
  int64_t axis = n.axis(n.intAttr("axis", flat ? 1 : -1), Build::rankOf(x), flat);
  if (n.hasFailed())
    return;
  SmallVector<int64_t> shape(Build::shapeOf(x));
  Value work = x;
  if (flat) {
    ArrayRef<int64_t> s = shape;
    work =
        n.reshape(x, {ShapedType::getNumElements(s.take_front(axis)), ShapedType::getNumElements(s.drop_front(axis))});
    axis = 1;
  }
  Value best = n.make<nn::ArgReduceOp>({work}, {n.integer("axis", axis), n.unit("keep_dims")});
  if (!best)
    return;
  SmallVector<int64_t> places(Build::rankOf(work), 1);
  places[axis] = Build::shapeOf(work)[axis];
  Value place = n.iota(RankedTensorType::get(places, Build::elementOf(best)), axis, 0, 1);
  n.give(n.reshape(n.cast(n.compare(nn::Predicate::Eq, best, place), Build::elementOf(x)), shape));
}

} // namespace

void mpopt::onnx::addMath(LoweringTable &table) {
  table["Atan"] = lowerAtan;
  table["Tan"] = lowerTan;
  table["Asin"] = lowerAsin;
  table["Acos"] = lowerAcos;
  table["Cosh"] = lowerCosh;
  table["Sinh"] = lowerSinh;
  table["Asinh"] = lowerAsinh;
  table["Acosh"] = lowerAcosh;
  table["Atanh"] = lowerAtanh;
  table["BitwiseNot"] = lowerBitwiseNot;
  table["BitShift"] = lowerBitShift;
  table["Hardmax"] = lowerHardmax;
}
