#include "Lower.h"
#include "MathF64.h"
#include <limits>
#include <numeric>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;
using nn::ReduceKind;

bool mpopt::codegen::isRowAnchor(Operation *op) {
  if (auto softmax = dyn_cast<nn::SoftmaxOp>(op))
    return int64_t(softmax.getAxis()) == tensorType(softmax.getInput()).getRank() - 1;
  return isa<nn::LayerNormOp>(op);
}

int64_t mpopt::codegen::rowAxis(Operation *op) {
  if (auto softmax = dyn_cast<nn::SoftmaxOp>(op))
    return softmax.getAxis();
  return cast<nn::LayerNormOp>(op).getAxis();
}

namespace {

/// Emits the code for one row: dimensions from `axis` on, at `outer`.
struct Row {
  static constexpr int64_t maxStack = 48 << 10;

  Kernel &kernel;
  Emitter &e;
  SmallVector<Value> outer;
  SmallVector<int64_t> shape;
  std::map<Operation *, Value> &buffers;

  int64_t elements() const { return std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<>()); }

  Place place(ArrayRef<Value> inner, int64_t lanes) const {
    SmallVector<Value> index(outer);
    index.append(inner.begin(), inner.end());
    return Place::run(index, lanes);
  }

  /// Memory for one row of `type` on the stack, in the coordinates of the whole tensor; none if it would be too large.
  std::optional<View> buffer(Operation *op, Type element) {
    if (!buffers.count(op)) {
      if (e.stackBytes() + elements() * elementBytes(element) > maxStack)
        return std::nullopt;
      buffers[op] = e.stack(element, elements());
    }
    View view{buffers[op], element, {}, SmallVector<int64_t>(outer.size(), 0), 0};
    view.strides.append(denseStrides(shape));
    return view;
  }

  /// Runs `body` over the row, outside of any sum.
  void forRow(const std::function<void(const Place &)> &body) {
    e.nest(ArrayRef(shape).drop_back(), [&](ArrayRef<Value> inner) {
      SmallVector<Value> index(inner);
      e.chunks(shape.back(), [&](Value start, int64_t lanes) {
        kernel.ev.fresh();
        index.push_back(start);
        body(place(index, lanes));
        index.pop_back();
        kernel.ev.fresh();
      });
    });
  }

  SmallVector<Value> sum(Type element, ArrayRef<ReduceKind> kinds,
                         const std::function<SmallVector<Value>(const Place &)> &body) {
    return accumulate(kernel, shape, element, kinds,
                      [&](ArrayRef<Value> inner, int64_t lanes) { return body(place(inner, lanes)); });
  }

  void softmax(nn::SoftmaxOp op);
  void layerNorm(nn::LayerNormOp op);
};

} // namespace

static Type vectorLike(Value value, Type element) {
  auto vector = dyn_cast<VectorType>(value.getType());
  return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
}

static Value exponential(Emitter &e, Value x) {
  return getElementTypeOrSelf(x.getType()).isF64() ? f64::exp(e, x) : Value(math::ExpOp::create(e.b, e.loc, x));
}

void Row::softmax(nn::SoftmaxOp op) {
  Evaluator &ev = kernel.ev;
  Type type = registerType(tensorType(op.getInput()).getElementType());
  std::optional<View> temp = buffer(op, type);
  Value input = op.getInput();
  bool copies = temp && !ev.viewOf(input);
  Value peak = sum(type, {ReduceKind::Max}, [&](const Place &at) -> SmallVector<Value> {
    Value x = e.splat(ev.at(input, at), at.lanes);
    if (copies)
      ev.store(x, *temp, at);
    return {x};
  })[0];
  // A row of -inf alone would give NaN; shifting it by 0 gives a sum of 0 instead.
  Value shift = peak;
  if (op.getSafe()) {
    Value low = e.constant(type, -std::numeric_limits<double>::infinity());
    Value empty = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, peak, low);
    shift = e.select(empty, e.constant(type, 0), peak);
  }
  auto read = [&ev, copies, temp, input](const Place &at) { return copies ? ev.load(*temp, at) : ev.at(input, at); };
  auto shifted = [this, read, shift](const Place &at) -> Value {
    Value x = e.splat(read(at), at.lanes);
    return arith::SubFOp::create(e.b, e.loc, x, e.splat(shift, at.lanes));
  };
  bool keeps = temp && !op.getLog();
  Value total = sum(type, {ReduceKind::Sum}, [&](const Place &at) -> SmallVector<Value> {
    Value power = exponential(e, shifted(at));
    if (keeps)
      ev.store(power, *temp, at);
    return {power};
  })[0];
  if (op.getLog()) {
    Value logTotal = type.isF64() ? f64::log(e, total) : Value(math::LogOp::create(e.b, e.loc, total));
    ev.provide(op.getResult(), [this, shifted, logTotal](const Place &at) -> Value {
      return arith::SubFOp::create(e.b, e.loc, shifted(at), e.splat(logTotal, at.lanes));
    });
    return;
  }
  Value factor = arith::DivFOp::create(e.b, e.loc, e.constant(type, 1), total);
  if (op.getSafe()) {
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, total, e.constant(type, 0));
    factor = e.select(none, e.constant(type, 0), factor);
  }
  ev.provide(op.getResult(), [this, shifted, keeps, temp, factor](const Place &at) -> Value {
    Value power = keeps ? kernel.ev.load(*temp, at) : exponential(e, shifted(at));
    return arith::MulFOp::create(e.b, e.loc, power, e.splat(factor, at.lanes));
  });
}

void Row::layerNorm(nn::LayerNormOp op) {
  Evaluator &ev = kernel.ev;
  Value input = op.getInput();
  Type type = registerType(tensorType(input).getElementType());
  std::optional<View> temp = buffer(op, type);
  bool copies = temp && !ev.viewOf(input);
  Value count = e.constant(type, double(elements())), mean = e.constant(type, 0);
  auto contract = arith::FastMathFlags::contract;
  if (!op.getRms()) {
    Value total = sum(type, {ReduceKind::Sum}, [&](const Place &at) -> SmallVector<Value> {
      Value x = e.splat(ev.at(input, at), at.lanes);
      if (copies)
        ev.store(x, *temp, at);
      return {x};
    })[0];
    mean = arith::DivFOp::create(e.b, e.loc, total, count);
  }
  auto read = [&ev, copies, temp, input](const Place &at) { return copies ? ev.load(*temp, at) : ev.at(input, at); };
  Value squares = sum(type, {ReduceKind::Sum}, [&](const Place &at) -> SmallVector<Value> {
    Value x;
    if (op.getRms()) {
      x = e.splat(ev.at(input, at), at.lanes);
      if (copies)
        ev.store(x, *temp, at);
    } else {
      x = arith::SubFOp::create(e.b, e.loc, e.splat(read(at), at.lanes), e.splat(mean, at.lanes));
    }
    return {arith::MulFOp::create(e.b, e.loc, x, x, contract)};
  })[0];
  Value variance = arith::DivFOp::create(e.b, e.loc, squares, count);
  variance = arith::AddFOp::create(e.b, e.loc, variance, e.constant(type, op.getEpsilon().convertToDouble()));
  Value factor = arith::DivFOp::create(e.b, e.loc, e.constant(type, 1), math::SqrtOp::create(e.b, e.loc, variance));
  ev.provide(op.getResult(), [this, &ev, op, read, mean, factor, contract](const Place &at) mutable -> Value {
    Value x = e.splat(read(at), at.lanes);
    if (!op.getRms())
      x = arith::SubFOp::create(e.b, e.loc, x, e.splat(mean, at.lanes), contract);
    x = arith::MulFOp::create(e.b, e.loc, x, e.splat(factor, at.lanes), contract);
    auto operand = [&](Value value) {
      // scale and bias broadcast, and may be held in another precision.
      int64_t dropped = int64_t(at.index.size()) - tensorType(value).getRank();
      Place inner{{}, 1, -1, at.laneStep};
      for (int64_t d = 0; d < tensorType(value).getRank(); ++d) {
        bool one = tensorType(value).getDimSize(d) == 1;
        inner.index.push_back(one ? e.i64(0) : at.index[d + dropped]);
        if (!one && d + dropped == at.laneDim) {
          inner.laneDim = d;
          inner.lanes = at.lanes;
        }
      }
      Value y = e.splat(ev.at(value, inner), at.lanes);
      if (y.getType() == x.getType())
        return y;
      bool widens = y.getType().isF32() || vectorLike(y, e.b.getF32Type()) == y.getType();
      return widens ? Value(arith::ExtFOp::create(e.b, e.loc, x.getType(), y))
                    : Value(arith::TruncFOp::create(e.b, e.loc, x.getType(), y));
    };
    if (op.getScale())
      x = arith::MulFOp::create(e.b, e.loc, x, operand(op.getScale()), contract);
    if (op.getBias())
      x = arith::AddFOp::create(e.b, e.loc, x, operand(op.getBias()), contract);
    return x;
  });
}

LogicalResult mpopt::codegen::lowerRows(Kernel &kernel, ArrayRef<Operation *> anchors) {
  Emitter &e = kernel.e;
  ArrayRef<int64_t> shape = tensorType(anchors[0]->getResult(0)).getShape();
  int64_t axis = rowAxis(anchors[0]);
  std::map<Operation *, Value> buffers; // looked up only
  e.nest(shape.take_front(axis), [&](ArrayRef<Value> outer) {
    kernel.ev.fresh();
    // Providers refer to their row until the loop over it ends.
    Row row{kernel, e, SmallVector<Value>(outer), SmallVector<int64_t>(shape.drop_front(axis)), buffers};
    for (Operation *anchor : anchors) {
      if (auto softmax = dyn_cast<nn::SoftmaxOp>(anchor))
        row.softmax(softmax);
      else
        row.layerNorm(cast<nn::LayerNormOp>(anchor));
      kernel.ev.fresh();
    }
    row.forRow([&](const Place &at) { kernel.store(at); });
  });
  return success();
}
