#include "Lower.h"
#include <limits>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;
using nn::ReduceKind;

static bool isUnsigned(Type element) { return element.isUnsignedInteger() || element.isInteger(1); }

Value mpopt::codegen::combine(Emitter &e, ReduceKind kind, Type element, Value x, Value y) {
  bool isFloat = isa<FloatType>(element);
  OpBuilder &b = e.b;
  Location loc = e.loc;
  switch (kind) {
  case ReduceKind::Sum:
    return isFloat ? Value(arith::AddFOp::create(b, loc, x, y)) : Value(arith::AddIOp::create(b, loc, x, y));
  case ReduceKind::Prod:
    return isFloat ? Value(arith::MulFOp::create(b, loc, x, y)) : Value(arith::MulIOp::create(b, loc, x, y));
  case ReduceKind::Max:
    if (isFloat)
      return arith::MaximumFOp::create(b, loc, x, y);
    return isUnsigned(element) ? Value(arith::MaxUIOp::create(b, loc, x, y))
                               : Value(arith::MaxSIOp::create(b, loc, x, y));
  case ReduceKind::Min:
    if (isFloat)
      return arith::MinimumFOp::create(b, loc, x, y);
    return isUnsigned(element) ? Value(arith::MinUIOp::create(b, loc, x, y))
                               : Value(arith::MinSIOp::create(b, loc, x, y));
  }
  return {};
}

Value mpopt::codegen::neutral(Emitter &e, ReduceKind kind, Type element) {
  Type type = registerType(element);
  if (kind == ReduceKind::Sum || kind == ReduceKind::Prod)
    return e.constant(type, kind == ReduceKind::Prod);
  if (isa<FloatType>(element)) {
    double infinity = std::numeric_limits<double>::infinity();
    return e.constant(type, kind == ReduceKind::Max ? -infinity : infinity);
  }
  unsigned bits = type.getIntOrFloatBitWidth();
  APInt extreme;
  if (kind == ReduceKind::Max)
    extreme = isUnsigned(element) ? APInt(bits, 0) : APInt::getSignedMinValue(bits);
  else
    extreme = isUnsigned(element) ? APInt::getAllOnes(bits) : APInt::getSignedMaxValue(bits);
  return arith::ConstantOp::create(e.b, e.loc, e.b.getIntegerAttr(type, extreme));
}

Value mpopt::codegen::reduceLanes(Emitter &e, ReduceKind kind, Type element, Value vector) {
  using K = vector::CombiningKind;
  bool isFloat = isa<FloatType>(element), isU = isUnsigned(element);
  switch (kind) {
  case ReduceKind::Sum:
    return e.reduceLanes(K::ADD, vector);
  case ReduceKind::Prod:
    return e.reduceLanes(K::MUL, vector);
  case ReduceKind::Max:
    return e.reduceLanes(isFloat ? K::MAXIMUMF : isU ? K::MAXUI : K::MAXSI, vector);
  case ReduceKind::Min:
    return e.reduceLanes(isFloat ? K::MINIMUMF : isU ? K::MINUI : K::MINSI, vector);
  }
  return {};
}

/// `value` in `width` lanes, those past its own filled with `fill`.
static Value widenTo(Emitter &e, Value value, int64_t width, Value fill) {
  auto type = dyn_cast<VectorType>(value.getType());
  int64_t lanes = type ? type.getNumElements() : 1;
  if (lanes == width)
    return value;
  Value one =
      type ? value : Value(vector::BroadcastOp::create(e.b, e.loc, VectorType::get({1}, value.getType()), value));
  SmallVector<int64_t> mask(width, lanes);
  for (int64_t k = 0; k < lanes; ++k)
    mask[k] = k;
  return vector::ShuffleOp::create(e.b, e.loc, one, e.splat(fill, width), mask);
}

SmallVector<Value> mpopt::codegen::accumulate(Kernel &kernel, ArrayRef<int64_t> shape, Type element,
                                              ArrayRef<ReduceKind> kinds,
                                              const std::function<SmallVector<Value>(ArrayRef<Value>, int64_t)> &body) {
  Emitter &e = kernel.e;
  int64_t width = e.target.vectorWidth(), size = shape.empty() ? 1 : shape.back();
  int64_t unroll = size >= 4 * width ? 4 : 1, whole = size / (width * unroll) * (width * unroll);
  SmallVector<Value> neutrals, start;
  for (ReduceKind kind : kinds)
    neutrals.push_back(neutral(e, kind, element));
  // Independent sums hide the latency of adding.
  for (int64_t u = 0; u < unroll; ++u)
    for (Value value : neutrals)
      start.push_back(e.splat(value, width));
  SmallVector<Value> index;
  auto step = [&](Value at, int64_t lanes, int64_t u, SmallVector<Value> &sums) {
    index.push_back(at);
    kernel.ev.fresh();
    SmallVector<Value> values = body(index, lanes);
    index.pop_back();
    for (size_t k = 0; k < kinds.size(); ++k) {
      Value &sum = sums[u * kinds.size() + k];
      sum = combine(e, kinds[k], element, sum, widenTo(e, e.splat(values[k], lanes), width, neutrals[k]));
    }
  };
  std::function<SmallVector<Value>(size_t, ValueRange)> enter = [&](size_t d,
                                                                    ValueRange carried) -> SmallVector<Value> {
    if (d + 1 < shape.size())
      return e.loop(0, shape[d], 1, carried, [&](Value i, ValueRange inner) {
        index.push_back(i);
        SmallVector<Value> result = enter(d + 1, inner);
        index.pop_back();
        return result;
      });
    SmallVector<Value> sums = e.loop(0, whole, width * unroll, carried, [&](Value i, ValueRange inner) {
      SmallVector<Value> next(inner);
      for (int64_t u = 0; u < unroll; ++u)
        step(e.add(i, e.i64(u * width)), width, u, next);
      return next;
    });
    for (int64_t at = whole; at < size; at += width)
      step(e.i64(at), std::min(width, size - at), (at / width) % unroll, sums);
    return sums;
  };
  SmallVector<Value> sums = shape.empty() ? start : enter(0, start);
  if (shape.empty()) {
    SmallVector<Value> values = body({}, 1);
    return values;
  }
  kernel.ev.fresh();
  SmallVector<Value> results;
  for (size_t k = 0; k < kinds.size(); ++k) {
    Value sum = sums[k];
    for (int64_t u = 1; u < unroll; ++u)
      sum = combine(e, kinds[k], element, sum, sums[u * kinds.size() + k]);
    results.push_back(reduceLanes(e, kinds[k], element, sum));
  }
  return results;
}

namespace {

/// The dimensions of a reduction's input, split into kept and reduced ones, and its places.
struct ReduceShape {
  SmallVector<int64_t> shape, kept, reduced, keptShape, reducedShape;
  bool keepDims;

  explicit ReduceShape(nn::ReduceOp op) : shape(tensorType(op.getInput()).getShape()), keepDims(op.getKeepDims()) {
    for (int64_t d = 0; d < int64_t(shape.size()); ++d) {
      bool isReduced = llvm::is_contained(op.getAxes(), d);
      (isReduced ? reduced : kept).push_back(d);
      (isReduced ? reducedShape : keptShape).push_back(shape[d]);
    }
  }

  SmallVector<Value> inputIndex(ArrayRef<Value> keptIndex, ArrayRef<Value> reducedIndex) const {
    SmallVector<Value> index(shape.size());
    for (auto [d, i] : llvm::zip_equal(kept, keptIndex))
      index[d] = i;
    for (auto [d, i] : llvm::zip_equal(reduced, reducedIndex))
      index[d] = i;
    return index;
  }

  SmallVector<Value> resultIndex(Emitter &e, ArrayRef<Value> keptIndex) const {
    if (!keepDims)
      return SmallVector<Value>(keptIndex);
    SmallVector<Value> index(shape.size(), e.i64(0));
    for (auto [d, i] : llvm::zip_equal(kept, keptIndex))
      index[d] = i;
    return index;
  }
};

} // namespace

/// The last dimension stays: runs of results, summed over the others.
static void reduceOuter(Kernel &kernel, nn::ReduceOp op, const ReduceShape &s) {
  Emitter &e = kernel.e;
  Type element = tensorType(op.getInput()).getElementType();
  e.nest(ArrayRef(s.keptShape).drop_back(), [&](ArrayRef<Value> outer) {
    e.chunks(s.keptShape.back(), [&](Value start, int64_t lanes) {
      SmallVector<Value> keptIndex(outer);
      keptIndex.push_back(start);
      SmallVector<Value> reducedIndex;
      std::function<SmallVector<Value>(size_t, ValueRange)> enter = [&](size_t d,
                                                                        ValueRange carried) -> SmallVector<Value> {
        if (d == s.reducedShape.size()) {
          kernel.ev.fresh();
          Place place = Place::run(s.inputIndex(keptIndex, reducedIndex), lanes);
          Value value = e.splat(kernel.ev.at(op.getInput(), place), lanes);
          kernel.ev.fresh();
          return {combine(e, op.getKind(), element, carried[0], value)};
        }
        return e.loop(0, s.reducedShape[d], 1, carried, [&](Value i, ValueRange inner) {
          reducedIndex.push_back(i);
          SmallVector<Value> result = enter(d + 1, inner);
          reducedIndex.pop_back();
          return result;
        });
      };
      Value sum = enter(0, {e.splat(neutral(e, op.getKind(), element), lanes)})[0];
      kernel.ev.fresh();
      kernel.ev.provide(op.getResult(), [&](const Place &) { return sum; });
      // With kept dimensions the last one is still the last one.
      kernel.store(Place::run(s.resultIndex(e, keptIndex), lanes));
      kernel.ev.fresh();
    });
  });
}

LogicalResult mpopt::codegen::lowerReduce(Kernel &kernel, nn::ReduceOp op) {
  Emitter &e = kernel.e;
  ReduceShape s(op);
  if (!s.kept.empty() && s.kept.back() == int64_t(s.shape.size()) - 1) {
    reduceOuter(kernel, op, s);
    return success();
  }
  Type element = tensorType(op.getInput()).getElementType();
  e.nest(s.keptShape, [&](ArrayRef<Value> keptIndex) {
    kernel.ev.fresh();
    SmallVector<Value> kept(keptIndex);
    Value sum = accumulate(kernel, s.reducedShape, element, {op.getKind()},
                           [&](ArrayRef<Value> reducedIndex, int64_t lanes) -> SmallVector<Value> {
                             SmallVector<Value> index = s.inputIndex(kept, reducedIndex);
                             Place place = Place::run(index, lanes);
                             return {kernel.ev.at(op.getInput(), place)};
                           })[0];
    kernel.ev.provide(op.getResult(), [&](const Place &) { return sum; });
    kernel.store(Place::element(s.resultIndex(e, kept)));
    kernel.ev.fresh();
  });
  return success();
}
