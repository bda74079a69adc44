#include "Lower.h"
#include "MathF64.h"
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
  auto exp = [&](Value x) { return type.isF64() ? f64::exp(e, x) : Value(math::ExpOp::create(e.b, e.loc, x)); };
  auto log = [&](Value x) { return type.isF64() ? f64::log(e, x) : Value(math::LogOp::create(e.b, e.loc, x)); };
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
        return {arith::AddFOp::create(e.b, e.loc, carried[0], exp(shifted(i)))};
      })[0];
      Value logSum = op.getLog() ? log(sum) : Value();
      Value safeSum = sum;
      if (op.getSafe())
        safeSum = e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, sum, zero),
                           e.splat(e.constant(type, 1), lanes), sum);
      e.loop(0, length, 1, [&](Value i) {
        Value x = shifted(i);
        x = op.getLog() ? Value(arith::SubFOp::create(e.b, e.loc, x, logSum))
                        : Value(arith::DivFOp::create(e.b, e.loc, exp(x), safeSum));
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

/// Runs along the last dimension unless that is the channels'.
/// x / (bias + alpha / size * squares) ^ beta.
static Value respond(Emitter &e, nn::LrnOp op, Value x, Value squares) {
  Type type = squares.getType();
  Value base = e.fma(squares, e.constant(type, op.getAlpha().convertToDouble() / double(op.getSize())),
                     e.constant(type, op.getBias().convertToDouble()));
  bool isDouble = getElementTypeOrSelf(type).isF64();
  Value log = isDouble ? f64::log(e, base) : Value(math::LogOp::create(e.b, e.loc, base));
  Value power = arith::MulFOp::create(e.b, e.loc, log, e.constant(type, -op.getBeta().convertToDouble()));
  power = isDouble ? f64::exp(e, power) : Value(math::ExpOp::create(e.b, e.loc, power));
  return arith::MulFOp::create(e.b, e.loc, x, power);
}

/// Runs along another dimension: neighbours are other runs.
static void lrnAcross(Kernel &kernel, nn::LrnOp op) {
  Emitter &e = kernel.e;
  ArrayRef<int64_t> shape = tensorType(op.getInput()).getShape();
  Type type = registerType(tensorType(op.getInput()).getElementType());
  int64_t axis = op.getAxis(), channels = shape[axis], size = op.getSize();
  e.nest(shape.drop_back(), [&](ArrayRef<Value> outer) {
    e.chunks(shape.back(), [&](Value start, int64_t lanes) {
      SmallVector<Value> index(outer);
      index.push_back(start);
      auto read = [&](Value c) {
        kernel.ev.fresh();
        Value x = e.splat(kernel.ev.at(op.getInput(), Place::run(with(index, axis, c), lanes)), lanes);
        kernel.ev.fresh();
        return x;
      };
      Value first = e.maximum(e.sub(index[axis], e.i64((size - 1) / 2)), e.i64(0));
      Value end = e.minimum(e.add(index[axis], e.i64(size / 2 + 1)), e.i64(channels));
      Value zero = e.splat(e.constant(type, 0), lanes);
      Value squares = e.loop(first, end, 1, {zero}, [&](Value c, ValueRange carried) -> SmallVector<Value> {
        Value x = read(c);
        return {e.fma(x, x, carried[0])};
      })[0];
      kernel.write(op.getResult(), Place::run(index, lanes), respond(e, op, read(index[axis]), squares));
    });
  });
}

/// Runs along the dimension itself: its squares lie in the frame, between zeros.
static LogicalResult lrnAlong(Kernel &kernel, nn::LrnOp op) {
  constexpr int64_t mostFrameBytes = 48 << 10;
  Emitter &e = kernel.e;
  ArrayRef<int64_t> shape = tensorType(op.getInput()).getShape();
  Type type = registerType(tensorType(op.getInput()).getElementType());
  int64_t size = std::min<int64_t>(op.getSize(), 2 * shape.back()), before = (size - 1) / 2;
  int64_t elements = shape.back() + size - 1;
  if (elements * elementBytes(type) > mostFrameBytes)
    return op.emitOpError("has too many neighbours or channels for the CPU");
  Value frame = e.stack(type, elements), zero = e.constant(type, 0);
  for (int64_t i = 0; i + 1 < size; ++i)
    e.store(zero, frame, type, e.i64(i < before ? i : shape.back() + i));
  e.nest(shape.drop_back(), [&](ArrayRef<Value> outer) {
    auto place = [&](Value start, int64_t lanes) {
      SmallVector<Value> index(outer);
      index.push_back(start);
      return Place::run(index, lanes);
    };
    e.chunks(shape.back(), [&](Value start, int64_t lanes) {
      kernel.ev.fresh();
      Value x = e.splat(kernel.ev.at(op.getInput(), place(start, lanes)), lanes);
      e.store(arith::MulFOp::create(e.b, e.loc, x, x), frame, type, e.add(start, e.i64(before)));
    });
    e.chunks(shape.back(), [&](Value start, int64_t lanes) {
      kernel.ev.fresh();
      Value squares = e.splat(zero, lanes);
      for (int64_t i = 0; i < size; ++i)
        squares = arith::AddFOp::create(e.b, e.loc, squares, e.load(frame, type, e.add(start, e.i64(i)), lanes));
      Value x = e.splat(kernel.ev.at(op.getInput(), place(start, lanes)), lanes);
      kernel.write(op.getResult(), place(start, lanes), respond(e, op, x, squares));
    });
  });
  return success();
}

static LogicalResult lowerLrn(Kernel &kernel, nn::LrnOp op) {
  if (int64_t(op.getAxis()) == tensorType(op.getInput()).getRank() - 1)
    return lrnAlong(kernel, op);
  lrnAcross(kernel, op);
  return success();
}

static LogicalResult lowerGroupNorm(Kernel &kernel, nn::GroupNormOp op) {
  Emitter &e = kernel.e;
  ArrayRef<int64_t> shape = tensorType(op.getInput()).getShape();
  Type type = registerType(tensorType(op.getInput()).getElementType());
  int64_t groups = op.getGroups(), perGroup = shape[1] / groups;
  SmallVector<int64_t> inner{perGroup};
  llvm::append_range(inner, shape.drop_front(2));
  int64_t count = 1;
  for (int64_t size : inner)
    count *= size;
  e.nest({shape[0], groups}, [&](ArrayRef<Value> outer) {
    Value batch = outer[0], firstChannel = e.mul(outer[1], perGroup);
    auto place = [&](ArrayRef<Value> i, int64_t lanes) {
      SmallVector<Value> index{batch};
      llvm::append_range(index, i);
      index[1] = e.add(firstChannel, i[0]);
      return Place::run(index, lanes);
    };
    auto sum = [&](const std::function<Value(const Place &)> &element) {
      return accumulate(
          kernel, inner, type, {ReduceKind::Sum},
          [&](ArrayRef<Value> i, int64_t lanes) -> SmallVector<Value> { return {element(place(i, lanes))}; })[0];
    };
    auto read = [&](const Place &at) { return e.splat(kernel.ev.at(op.getInput(), at), at.lanes); };
    Value n = e.constant(type, double(count));
    Value mean = arith::DivFOp::create(e.b, e.loc, sum(read), n);
    auto centered = [&](const Place &at) -> Value {
      return arith::SubFOp::create(e.b, e.loc, read(at), e.splat(mean, at.lanes));
    };
    Value squares = sum([&](const Place &at) -> Value {
      Value x = centered(at);
      return arith::MulFOp::create(e.b, e.loc, x, x);
    });
    Value variance = arith::DivFOp::create(e.b, e.loc, squares, n);
    variance = arith::AddFOp::create(e.b, e.loc, variance, e.constant(type, op.getEpsilon().convertToDouble()));
    Value factor = arith::DivFOp::create(e.b, e.loc, e.constant(type, 1), math::SqrtOp::create(e.b, e.loc, variance));
    e.nest(ArrayRef(inner).drop_back(), [&](ArrayRef<Value> outerIndex) {
      SmallVector<Value> i(outerIndex);
      e.chunks(inner.back(), [&](Value start, int64_t lanes) {
        kernel.ev.fresh();
        i.push_back(start);
        Place at = place(i, lanes);
        i.pop_back();
        // Scale and bias follow the channel, which is the run's own dimension only without spatial ones.
        Place channel = shape.size() == 2 ? Place::run({at.index[1]}, lanes) : Place::element({at.index[1]});
        Value scale = e.splat(kernel.ev.at(op.getScale(), channel), lanes),
              bias = e.splat(kernel.ev.at(op.getBias(), channel), lanes);
        Value x = arith::MulFOp::create(e.b, e.loc, centered(at), e.splat(factor, lanes));
        x = e.fma(x, scale, bias);
        kernel.ev.provide(op.getResult(), [x](const Place &) { return x; });
        kernel.store(at);
        kernel.ev.fresh();
      });
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
      .Case([&](nn::LrnOp lrn) { return lowerLrn(kernel, lrn); })
      .Case([&](nn::GroupNormOp norm) { return lowerGroupNorm(kernel, norm); })
      .Default([](Operation *other) { return other->emitOpError("has no kernel for the CPU"); });
}
