#include "Evaluator.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

Place Place::run(ArrayRef<Value> index, int64_t lanes) {
  Place place = element(index);
  if (lanes > 1) {
    place.lanes = lanes;
    place.laneDim = int64_t(index.size()) - 1;
  }
  return place;
}

View View::dense(Value pointer, RankedTensorType type) {
  return {pointer, type.getElementType(), SmallVector<int64_t>(type.getShape()), denseStrides(type.getShape()), 0};
}

bool mpopt::codegen::isLight(Operation *op) {
  return isElementwise(op) ||
         isa<nn::ConstantOp, nn::IotaOp, nn::ReshapeOp, nn::TransposeOp, nn::BroadcastOp, nn::SliceOp, nn::SliceAtOp,
             nn::PadOp, nn::ConcatOp, nn::GatherOp, nn::GatherElementsOp, nn::GatherNdOp, nn::RotaryOp>(op);
}

std::optional<double> mpopt::codegen::splatOf(Value value) {
  auto constant = value.getDefiningOp<nn::ConstantOp>();
  if (!constant)
    return std::nullopt;
  auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (!dense || !dense.isSplat())
    return std::nullopt;
  if (isa<FloatType>(dense.getElementType())) {
    APFloat number = dense.getSplatValue<APFloat>();
    bool loses;
    number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
    return number.convertToDouble();
  }
  APInt number = dense.getSplatValue<APInt>();
  bool isUnsigned = dense.getElementType().isUnsignedInteger() || dense.getElementType().isInteger(1);
  return isUnsigned ? double(number.getZExtValue()) : double(number.getSExtValue());
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static Value linearIndex(Emitter &e, const View &view, ArrayRef<Value> at) {
  Value linear = e.i64(view.offset);
  for (auto [index, stride] : llvm::zip_equal(at, view.strides))
    linear = e.add(linear, e.mul(index, stride));
  return linear;
}

Value Evaluator::load(const View &view, const Place &place) {
  Value linear = linearIndex(e, view, place.index);
  if (!place.isRun())
    return e.load(view.pointer, view.element, linear, 1);
  int64_t stride = view.strides[place.laneDim] * place.laneStep;
  if (stride == 1)
    return e.load(view.pointer, view.element, linear, place.lanes);
  if (stride == 0)
    return e.splat(e.load(view.pointer, view.element, linear, 1), place.lanes);
  SmallVector<Value> lanes;
  for (int64_t k = 0; k < place.lanes; ++k)
    lanes.push_back(e.load(view.pointer, view.element, e.add(linear, e.i64(k * stride)), 1));
  return e.fromLanes(lanes);
}

Value Evaluator::loadPartial(const View &view, ArrayRef<Value> index, int64_t lanes) {
  return e.loadPartial(view.pointer, view.element, linearIndex(e, view, index), lanes, e.target.vectorWidth());
}

void Evaluator::store(Value elements, const View &view, const Place &place) {
  Value linear = linearIndex(e, view, place.index);
  if (!place.isRun())
    return e.store(elements, view.pointer, view.element, linear);
  int64_t stride = view.strides[place.laneDim] * place.laneStep;
  if (stride == 1)
    return e.store(elements, view.pointer, view.element, linear);
  for (int64_t k = 0; k < place.lanes; ++k)
    e.store(e.lane(elements, k), view.pointer, view.element, e.add(linear, e.i64(k * stride)));
}

/// The strides of a view under another shape, if it needs no copy.
static std::optional<View> reshapeView(const View &view, ArrayRef<int64_t> shape) {
  // Runs of dimensions of equal size on both sides, each of which must be one block of memory where it is split or merged.
  View result{view.pointer, view.element, SmallVector<int64_t>(shape), SmallVector<int64_t>(shape.size(), 0),
              view.offset};
  size_t i = 0, j = 0;
  while (i < view.shape.size() || j < shape.size()) {
    size_t iBegin = i, jBegin = j;
    int64_t left = 1, right = 1;
    do {
      if (left <= right && i < view.shape.size())
        left *= view.shape[i++];
      else if (j < shape.size())
        right *= shape[j++];
      else
        break;
    } while (left != right || (i < view.shape.size() && view.shape[i] == 1) || (j < shape.size() && shape[j] == 1));
    if (left != right)
      return std::nullopt;
    int64_t inner = 1, stride = 0;
    for (size_t d = i; d-- > iBegin;) {
      if (view.shape[d] == 1)
        continue;
      if (stride == 0 && inner == 1)
        stride = view.strides[d];
      else if (view.strides[d] != stride * inner)
        return std::nullopt;
      inner *= view.shape[d];
    }
    for (size_t d = j; d-- > jBegin;) {
      result.strides[d] = stride;
      stride *= shape[d];
    }
  }
  return result;
}

std::optional<View> Evaluator::viewOf(Value value) const {
  if (auto found = views.find(value); found != views.end())
    return found->second;
  Operation *op = value.getDefiningOp();
  if (!op || !isa<nn::TransposeOp, nn::SliceOp, nn::BroadcastOp, nn::ReshapeOp>(op))
    return std::nullopt;
  std::optional<View> input = viewOf(op->getOperand(0));
  if (!input)
    return std::nullopt;
  if (isa<nn::ReshapeOp>(op))
    return reshapeView(*input, tensorType(value).getShape());
  View view = *input;
  view.shape.assign(tensorType(value).getShape().begin(), tensorType(value).getShape().end());
  if (auto transpose = dyn_cast<nn::TransposeOp>(op)) {
    for (auto [d, from] : llvm::enumerate(transpose.getPermutation()))
      view.strides[d] = input->strides[from];
  } else if (auto slice = dyn_cast<nn::SliceOp>(op)) {
    for (size_t d = 0; d < view.shape.size(); ++d) {
      view.offset += slice.getStarts()[d] * input->strides[d];
      view.strides[d] = input->strides[d] * slice.getSteps()[d];
    }
  } else {
    size_t added = view.shape.size() - input->shape.size();
    view.strides.assign(view.shape.size(), 0);
    for (size_t d = 0; d < input->shape.size(); ++d)
      view.strides[d + added] = input->shape[d] == 1 ? 0 : input->strides[d];
  }
  return view;
}

//===----------------------------------------------------------------------===//
// Evaluation
//===----------------------------------------------------------------------===//

Value Evaluator::at(Value value, const Place &place) {
  Key key{value.getAsOpaquePointer(), {}};
  for (Value index : place.index) {
    // Equal constants are different values; their number stands for them.
    auto known = constantOf(index);
    key.second.push_back(known ? reinterpret_cast<const void *>(*known * 2 + 1) : index.getAsOpaquePointer());
  }
  for (int64_t part : {place.lanes, place.laneDim, place.laneStep})
    key.second.push_back(reinterpret_cast<const void *>(part * 2 + 1));
  if (auto found = memo.find(key); found != memo.end())
    return found->second;
  Value result = compute(value, place);
  if (place.isRun())
    result = e.splat(result, place.lanes);
  return memo[key] = result;
}

Value Evaluator::compute(Value value, const Place &place) {
  if (auto found = sources.find(value); found != sources.end())
    return found->second(place);
  if (auto found = views.find(value); found != views.end())
    return load(found->second, place);
  Operation *op = value.getDefiningOp();
  assert(op && "arguments are bound");
  // What does not vary along the run is computed once.
  if (place.isRun() && isElementwise(op)) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(at(operand, broadcastPlace(operand, place)));
    for (Value &operand : operands)
      operand = e.splat(operand, place.lanes);
    return applyElementwise(e, op, operands);
  }
  if (isElementwise(op)) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(at(operand, broadcastPlace(operand, place)));
    return applyElementwise(e, op, operands);
  }
  if (isa<nn::ReshapeOp, nn::TransposeOp, nn::BroadcastOp, nn::SliceOp, nn::SliceAtOp, nn::PadOp, nn::ConcatOp>(op))
    return computeShapeOp(op, place);
  return computeIndexOp(op, place);
}

Place Evaluator::broadcastPlace(Value operand, const Place &place) {
  ArrayRef<int64_t> shape = tensorType(operand).getShape();
  size_t dropped = place.index.size() - shape.size();
  Place inner{{}, 1, -1, place.laneStep};
  for (size_t d = 0; d < shape.size(); ++d) {
    inner.index.push_back(shape[d] == 1 ? e.i64(0) : place.index[d + dropped]);
    if (int64_t(d + dropped) == place.laneDim && shape[d] != 1) {
      inner.laneDim = d;
      inner.lanes = place.lanes;
    }
  }
  return inner;
}

/// One element after the other, for what has no form for runs.
Value Evaluator::perLane(Value value, const Place &place) {
  SmallVector<Value> lanes;
  for (int64_t k = 0; k < place.lanes; ++k) {
    Place one = Place::element(place.index);
    one.index[place.laneDim] = e.add(one.index[place.laneDim], e.i64(k * place.laneStep));
    lanes.push_back(at(value, one));
  }
  return e.fromLanes(lanes);
}

/// `input` at `place`, or `fill` where the index in `dim` lies outside it.
Value Evaluator::guarded(Value input, Place place, int64_t dim, Value fill) {
  using P = arith::CmpIPredicate;
  int64_t size = tensorType(input).getDimSize(dim);
  Value start = place.index[dim];
  bool along = place.isRun() && place.laneDim == dim;
  Value last = along ? e.add(start, e.i64((place.lanes - 1) * place.laneStep)) : start;
  auto inside = [&](Value index) {
    return e.both(e.compare(P::sge, index, e.i64(0)), e.compare(P::slt, index, e.i64(size)));
  };
  Value whole = along ? e.both(inside(start), inside(last)) : inside(start);
  auto saved = memo;
  Value result = e.branch(
      whole, [&] { return at(input, place); },
      [&] {
        memo = saved;
        if (!along)
          return e.splat(fill, place.lanes);
        SmallVector<Value> lanes;
        for (int64_t k = 0; k < place.lanes; ++k) {
          Value index = e.add(start, e.i64(k * place.laneStep));
          Place one = Place::element(place.index);
          one.index[dim] = e.maximum(e.minimum(index, e.i64(size - 1)), e.i64(0));
          lanes.push_back(e.select(inside(index), at(input, one), fill));
        }
        return e.fromLanes(lanes);
      });
  memo = saved;
  return result;
}

Value Evaluator::computeShapeOp(Operation *op, const Place &place) {
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::ReshapeOp reshapeOp) { return reshape(reshapeOp, place); })
      .Case([&](nn::ConcatOp concatOp) { return concat(concatOp, place); })
      .Case([&](nn::TransposeOp transpose) {
        Place inner = place;
        for (auto [d, from] : llvm::enumerate(transpose.getPermutation())) {
          inner.index[from] = place.index[d];
          if (int64_t(d) == place.laneDim)
            inner.laneDim = from;
        }
        return at(transpose.getInput(), inner);
      })
      .Case([&](nn::BroadcastOp broadcast) {
        return at(broadcast.getInput(), broadcastPlace(broadcast.getInput(), place));
      })
      .Case([&](nn::SliceOp slice) {
        Place inner = place;
        for (size_t d = 0; d < inner.index.size(); ++d)
          inner.index[d] = e.add(e.i64(slice.getStarts()[d]), e.mul(place.index[d], slice.getSteps()[d]));
        if (place.isRun())
          inner.laneStep *= slice.getSteps()[place.laneDim];
        return at(slice.getInput(), inner);
      })
      .Case([&](nn::SliceAtOp slice) {
        Place inner = place;
        Value start =
            at(slice.getStart(), Place::element(SmallVector<Value>(tensorType(slice.getStart()).getRank(), e.i64(0))));
        if (start.getType().getIntOrFloatBitWidth() < 64)
          start = arith::ExtSIOp::create(e.b, e.loc, e.b.getI64Type(), start);
        inner.index[slice.getAxis()] = e.add(place.index[slice.getAxis()], start);
        Value zero = e.constant(registerType(tensorType(slice.getInput()).getElementType()), 0);
        return guarded(slice.getInput(), inner, slice.getAxis(), zero);
      })
      .Case([&](nn::PadOp pad) {
        Place inner = place;
        for (size_t d = 0; d < inner.index.size(); ++d)
          inner.index[d] = e.sub(place.index[d], e.i64(pad.getLow()[d]));
        Value fill =
            e.constant(registerType(tensorType(pad.getInput()).getElementType()), pad.getValue().convertToDouble());
        // One guard inside the other: the innermost one reads, so the outer ones have made its other indices valid.
        SmallVector<int64_t> dims;
        for (size_t d = 0; d < inner.index.size(); ++d)
          if (pad.getLow()[d] || pad.getHigh()[d])
            dims.push_back(d);
        std::function<Value(size_t)> enter = [&](size_t i) -> Value {
          if (i == dims.size())
            return at(pad.getInput(), inner);
          if (i + 1 == dims.size())
            return guarded(pad.getInput(), inner, dims[i], fill);
          if (inner.isRun() && inner.laneDim == dims[i]) {
            std::swap(dims[i], dims.back());
            return enter(i);
          }
          int64_t size = tensorType(pad.getInput()).getDimSize(dims[i]);
          Value index = inner.index[dims[i]];
          Value inside = e.both(e.compare(arith::CmpIPredicate::sge, index, e.i64(0)),
                                e.compare(arith::CmpIPredicate::slt, index, e.i64(size)));
          auto saved = memo;
          Value result = e.branch(
              inside, [&] { return e.splat(enter(i + 1), place.lanes); }, [&] { return e.splat(fill, place.lanes); });
          memo = saved;
          return result;
        };
        return enter(0);
      });
}

Value Evaluator::reshape(nn::ReshapeOp op, const Place &place) {
  ArrayRef<int64_t> from = tensorType(op.getInput()).getShape(), to = tensorType(op.getResult()).getShape();
  SmallVector<int64_t> toStrides = denseStrides(to), fromStrides = denseStrides(from);
  Place inner{{}, place.lanes, -1, place.laneStep};
  if (place.isRun()) {
    int64_t dim = -1;
    for (size_t d = 0; d < from.size(); ++d)
      if (from[d] != 1)
        dim = d;
    // A run stays in one row of the input when both rows are equal, or when whole vectors tile the input's.
    bool last = toStrides[place.laneDim] == 1 && dim >= 0;
    int64_t width = e.target.vectorWidth();
    bool stays = last && place.laneStep == 1 && place.lanes <= width &&
                 (from[dim] == to[place.laneDim] || (from[dim] % width == 0 && to[place.laneDim] % width == 0));
    if (!stays)
      return perLane(op.getResult(), place);
    inner.laneDim = dim;
  }
  Value linear = e.i64(0);
  for (size_t d = 0; d < to.size(); ++d)
    linear = e.add(linear, e.mul(place.index[d], toStrides[d]));
  for (size_t d = 0; d < from.size(); ++d) {
    Value index = e.div(linear, fromStrides[d]);
    inner.index.push_back(from[d] == 1 ? e.i64(0) : (d == 0 ? index : e.rem(index, from[d])));
  }
  return at(op.getInput(), inner);
}

Value Evaluator::concat(nn::ConcatOp op, const Place &place) {
  int64_t axis = op.getAxis();
  if (place.isRun() && place.laneDim == axis)
    return perLane(op.getResult(), place);
  auto saved = memo;
  std::function<Value(size_t, int64_t)> pick = [&](size_t i, int64_t offset) -> Value {
    Place inner = place;
    inner.index[axis] = e.sub(place.index[axis], e.i64(offset));
    memo = saved;
    Value input = op.getInputs()[i];
    if (i + 1 == op.getInputs().size())
      return at(input, inner);
    int64_t end = offset + tensorType(input).getDimSize(axis);
    return e.branch(
        e.compare(arith::CmpIPredicate::slt, place.index[axis], e.i64(end)), [&] { return at(input, inner); },
        [&] { return pick(i + 1, end); });
  };
  Value result = pick(0, 0);
  memo = saved;
  return result;
}
