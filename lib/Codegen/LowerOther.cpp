#include "Lower.h"
#include <limits>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;
using nn::ReduceKind;

/// `index` with the element at `axis` replaced.
static SmallVector<Value> with(ArrayRef<Value> index, int64_t axis, Value value) {
  SmallVector<Value> result(index);
  result[axis] = value;
  return result;
}

static Value at(Kernel &kernel, Value value, ArrayRef<Value> index) {
  kernel.ev.fresh();
  Value element = kernel.ev.at(value, Place::element(index));
  kernel.ev.fresh();
  return element;
}

/// Memory of a result that is an output itself.
static std::optional<View> outputView(Kernel &kernel, Value value) {
  for (Kernel::Output &output : kernel.outputs)
    if (output.value == value)
      return output.view;
  return std::nullopt;
}

static bool onlyOutputs(Kernel &kernel, Operation *op) {
  return llvm::all_of(kernel.outputs, [&](Kernel::Output &output) { return output.value.getDefiningOp() == op; });
}

/// Softmax over a dimension that is not the last: runs of lanes side by side.
static LogicalResult lowerSoftmax(Kernel &kernel, nn::SoftmaxOp op) {
  Emitter &e = kernel.e;
  SmallVector<int64_t> shape(tensorType(op.getInput()).getShape());
  int64_t axis = op.getAxis(), length = shape[axis], last = shape.size() - 1, size = shape[last];
  Type type = registerType(tensorType(op.getInput()).getElementType());
  SmallVector<int64_t> outerShape(shape);
  outerShape[axis] = 1;
  outerShape.pop_back();
  if (type.isF64())
    return op.emitOpError("over an inner dimension is computed in f32 at most");
  e.nest(outerShape, [&](ArrayRef<Value> outer) {
    e.chunks(size, [&](Value start, int64_t lanes) {
      SmallVector<Value> index(outer);
      index.push_back(start);
      auto read = [&](Value i) {
        kernel.ev.fresh();
        Value x = e.splat(kernel.ev.at(op.getInput(), Place::run(with(index, axis, i), lanes)), lanes);
        kernel.ev.fresh();
        return x;
      };
      Value low = e.splat(e.constant(type, -std::numeric_limits<double>::infinity()), lanes),
            zero = e.splat(e.constant(type, 0), lanes);
      Value peak = e.loop(0, length, 1, {low}, [&](Value i, ValueRange carried) -> SmallVector<Value> {
        return {combine(e, ReduceKind::Max, type, carried[0], read(i))};
      })[0];
      if (op.getSafe())
        peak = e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, peak, low), zero, peak);
      auto shifted = [&](Value i) -> Value { return arith::SubFOp::create(e.b, e.loc, read(i), peak); };
      Value sum = e.loop(0, length, 1, {zero}, [&](Value i, ValueRange carried) -> SmallVector<Value> {
        return {arith::AddFOp::create(e.b, e.loc, carried[0], math::ExpOp::create(e.b, e.loc, shifted(i)))};
      })[0];
      Value logSum = op.getLog() ? Value(math::LogOp::create(e.b, e.loc, sum)) : Value();
      Value safeSum = sum;
      if (op.getSafe())
        safeSum = e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, sum, zero),
                           e.splat(e.constant(type, 1), lanes), sum);
      e.loop(0, length, 1, [&](Value i) {
        Value x = shifted(i);
        x = op.getLog() ? Value(arith::SubFOp::create(e.b, e.loc, x, logSum))
                        : Value(arith::DivFOp::create(e.b, e.loc, math::ExpOp::create(e.b, e.loc, x), safeSum));
        kernel.ev.provide(op.getResult(), [x](const Place &) { return x; });
        kernel.store(Place::run(with(index, axis, i), lanes));
        kernel.ev.fresh();
      });
    });
  });
  return success();
}

/// Whether `x` comes before `y` in the order of arg_reduce and top_k: larger, or smaller with `smaller`.
static Value beats(Emitter &e, Type element, bool smaller, bool orEqual, Value x, Value y) {
  if (isa<FloatType>(element)) {
    using P = arith::CmpFPredicate;
    P predicate = smaller ? (orEqual ? P::OLE : P::OLT) : (orEqual ? P::OGE : P::OGT);
    return arith::CmpFOp::create(e.b, e.loc, predicate, x, y);
  }
  using P = arith::CmpIPredicate;
  bool isU = element.isUnsignedInteger() || element.isInteger(1);
  P predicate = smaller ? (orEqual ? (isU ? P::ule : P::sle) : (isU ? P::ult : P::slt))
                        : (orEqual ? (isU ? P::uge : P::sge) : (isU ? P::ugt : P::sgt));
  return e.compare(predicate, x, y);
}

static LogicalResult lowerArgReduce(Kernel &kernel, nn::ArgReduceOp op) {
  Emitter &e = kernel.e;
  SmallVector<int64_t> shape(tensorType(op.getInput()).getShape());
  int64_t axis = op.getAxis(), length = shape[axis];
  Type element = tensorType(op.getInput()).getElementType();
  shape[axis] = 1;
  e.nest(shape, [&](ArrayRef<Value> outer) {
    SmallVector<Value> index(outer);
    Value first = at(kernel, op.getInput(), with(index, axis, e.i64(0)));
    SmallVector<Value> best =
        e.loop(1, length, 1, {first, e.i64(0)}, [&](Value i, ValueRange carried) -> SmallVector<Value> {
          Value x = at(kernel, op.getInput(), with(index, axis, i));
          Value better = beats(e, element, op.getMin(), op.getSelectLast(), x, carried[0]);
          return {e.select(better, x, carried[0]), e.select(better, i, carried[1])};
        });
    kernel.ev.provide(op.getResult(), [&](const Place &) { return best[1]; });
    if (!op.getKeepDims())
      index.erase(index.begin() + axis);
    kernel.store(Place::element(index));
    kernel.ev.fresh();
  });
  return success();
}

static LogicalResult lowerCumSum(Kernel &kernel, nn::CumSumOp op) {
  Emitter &e = kernel.e;
  SmallVector<int64_t> shape(tensorType(op.getInput()).getShape());
  int64_t axis = op.getAxis(), length = shape[axis];
  Type element = tensorType(op.getInput()).getElementType();
  shape[axis] = 1;
  e.nest(shape, [&](ArrayRef<Value> outer) {
    SmallVector<Value> index(outer);
    e.loop(0, length, 1, {neutral(e, ReduceKind::Sum, element)},
           [&](Value step, ValueRange carried) -> SmallVector<Value> {
             SmallVector<Value> here = with(index, axis, op.getReverse() ? e.sub(e.i64(length - 1), step) : step);
             Value sum = combine(e, ReduceKind::Sum, element, carried[0], at(kernel, op.getInput(), here));
             Value shown = op.getExclusive() ? carried[0] : sum;
             kernel.ev.provide(op.getResult(), [&](const Place &) { return shown; });
             kernel.store(Place::element(here));
             kernel.ev.fresh();
             return {sum};
           });
  });
  return success();
}

/// Insertion into the sorted results so far: k is small beside the axis.
static LogicalResult lowerTopK(Kernel &kernel, nn::TopKOp op) {
  Emitter &e = kernel.e;
  std::optional<View> values = outputView(kernel, op.getValues()), indices = outputView(kernel, op.getIndices());
  if (!onlyOutputs(kernel, op))
    return op.emitOpError("must be alone in its kernel");
  SmallVector<int64_t> shape(tensorType(op.getInput()).getShape());
  int64_t axis = op.getAxis(), length = shape[axis], k = op.getK();
  Type element = tensorType(op.getInput()).getElementType();
  shape[axis] = 1;
  // What nobody reads still has to be kept somewhere.
  bool onStack = (!values || !indices) && k <= 2048;
  if ((!values || !indices) && !onStack)
    return op.emitOpError("with k over 2048 needs both results");
  auto place = [&](std::optional<View> &view, Type type) {
    if (view)
      return;
    view = View{e.stack(type, k), type, shape, SmallVector<int64_t>(shape.size(), 0), 0};
    view->strides[axis] = 1;
  };
  place(values, element);
  place(indices, e.b.getI64Type());
  e.nest(shape, [&](ArrayRef<Value> outer) {
    SmallVector<Value> index(outer);
    auto slot = [&](Value i) { return Place::element(with(index, axis, i)); };
    e.loop(0, length, 1, [&](Value i) {
      Value x = at(kernel, op.getInput(), with(index, axis, i));
      Value filled = e.minimum(i, e.i64(k));
      // The first place whose element is worse; equal elements stay before, as their index is lower.
      auto loop = scf::WhileOp::create(
          e.b, e.loc, TypeRange{e.b.getI64Type()}, ValueRange{filled},
          [&](OpBuilder &b, Location loc, ValueRange carried) {
            OpBuilder::InsertionGuard guard(e.b);
            e.b = b;
            Value more = e.compare(arith::CmpIPredicate::sgt, carried[0], e.i64(0));
            Value before = e.maximum(e.sub(carried[0], e.i64(1)), e.i64(0));
            Value worse = beats(e, element, op.getSmallest(), false, x, kernel.ev.load(*values, slot(before)));
            scf::ConditionOp::create(e.b, loc, e.both(more, worse), carried);
          },
          [&](OpBuilder &b, Location loc, ValueRange carried) {
            OpBuilder::InsertionGuard guard(e.b);
            e.b = b;
            // Moves one element on, or off the end.
            Value before = e.sub(carried[0], e.i64(1)), to = e.minimum(carried[0], e.i64(k - 1));
            Value value = kernel.ev.load(*values, slot(before)), number = kernel.ev.load(*indices, slot(before));
            kernel.ev.store(value, *values, slot(to));
            kernel.ev.store(number, *indices, slot(to));
            scf::YieldOp::create(e.b, loc, before);
          });
      Value where = loop.getResult(0);
      auto inside = scf::IfOp::create(e.b, e.loc, e.compare(arith::CmpIPredicate::slt, where, e.i64(k)),
                                      /*withElseRegion=*/false);
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(&inside.getThenRegion().front());
      kernel.ev.store(x, *values, slot(where));
      kernel.ev.store(i, *indices, slot(where));
    });
  });
  return success();
}

static LogicalResult lowerScatterNd(Kernel &kernel, nn::ScatterNdOp op) {
  Emitter &e = kernel.e;
  std::optional<View> out = outputView(kernel, op.getResult());
  if (!out || kernel.outputs.size() != 1)
    return op.emitOpError("must be alone in its kernel");
  Kernel copy{e, kernel.ev, {{op.getInput(), *out}}};
  if (failed(lowerPointwise(copy)))
    return failure();
  ArrayRef<int64_t> shape = tensorType(op.getResult()).getShape(), indexShape = tensorType(op.getIndices()).getShape();
  Type element = tensorType(op.getResult()).getElementType();
  int64_t depth = indexShape.back();
  e.nest(indexShape.drop_back(), [&](ArrayRef<Value> where) {
    SmallVector<Value> lookup(where), target;
    for (int64_t d = 0; d < depth; ++d) {
      SmallVector<Value> index(lookup);
      index.push_back(e.i64(d));
      Value i = at(kernel, op.getIndices(), index);
      if (i.getType().getIntOrFloatBitWidth() < 64)
        i = arith::ExtSIOp::create(e.b, e.loc, e.b.getI64Type(), i);
      Value wrapped = e.select(e.compare(arith::CmpIPredicate::slt, i, e.i64(0)), e.add(i, e.i64(shape[d])), i);
      target.push_back(e.maximum(e.minimum(wrapped, e.i64(shape[d] - 1)), e.i64(0)));
    }
    e.nest(shape.drop_front(depth), [&](ArrayRef<Value> rest) {
      SmallVector<Value> from(lookup), to(target);
      from.append(rest.begin(), rest.end());
      to.append(rest.begin(), rest.end());
      Value x = at(kernel, op.getUpdates(), from);
      Place place = Place::element(to);
      if (op.getReduction())
        x = combine(e, *op.getReduction(), element, kernel.ev.load(*out, place), x);
      kernel.ev.store(x, *out, place);
    });
  });
  return success();
}

LogicalResult mpopt::codegen::lowerOther(Kernel &kernel, Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](nn::SoftmaxOp softmax) { return lowerSoftmax(kernel, softmax); })
      .Case([&](nn::ArgReduceOp arg) { return lowerArgReduce(kernel, arg); })
      .Case([&](nn::CumSumOp cumSum) { return lowerCumSum(kernel, cumSum); })
      .Case([&](nn::TopKOp topK) { return lowerTopK(kernel, topK); })
      .Case([&](nn::ScatterNdOp scatter) { return lowerScatterNd(kernel, scatter); })
      .Default([](Operation *other) { return other->emitOpError("has no kernel for the CPU"); });
}
