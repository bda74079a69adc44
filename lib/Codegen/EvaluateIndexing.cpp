// Operators that read at computed indices.
#include "Evaluator.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

static Value widenIndex(Emitter &e, Value index) {
  unsigned bits = index.getType().getIntOrFloatBitWidth();
  return bits < 64 ? Value(arith::ExtSIOp::create(e.b, e.loc, e.b.getI64Type(), index)) : index;
}

/// An index as ONNX has it, negative ones from the end; what is still outside is pulled in, so that bad data reads no foreign memory.
Value Evaluator::wrapped(Value index, int64_t size) {
  index = widenIndex(e, index);
  Value negative = e.compare(arith::CmpIPredicate::slt, index, e.i64(0));
  index = e.select(negative, e.add(index, e.i64(size)), index);
  return e.maximum(e.minimum(index, e.i64(size - 1)), e.i64(0));
}

Value Evaluator::gather(nn::GatherOp op, const Place &place) {
  int64_t axis = op.getAxis(), indexRank = tensorType(op.getIndices()).getRank();
  if (place.isRun() && place.laneDim >= axis && place.laneDim < axis + indexRank)
    return perLane(op.getResult(), place);
  ArrayRef<Value> all = place.index;
  Value index = at(op.getIndices(), Place::element(all.slice(axis, indexRank)));
  int64_t size = tensorType(op.getInput()).getDimSize(axis);
  Value inside;
  if (op.getOffset()) {
    Value offset =
        at(op.getOffset(), Place::element(SmallVector<Value>(tensorType(op.getOffset()).getRank(), e.i64(0))));
    index = e.sub(widenIndex(e, index), widenIndex(e, offset));
    inside = e.both(e.compare(arith::CmpIPredicate::sge, index, e.i64(0)),
                    e.compare(arith::CmpIPredicate::slt, index, e.i64(size)));
    index = e.maximum(e.minimum(index, e.i64(size - 1)), e.i64(0));
  } else {
    index = wrapped(index, size);
  }
  Place inner = place;
  inner.index.assign(all.begin(), all.begin() + axis);
  inner.index.push_back(index);
  inner.index.append(all.begin() + axis + indexRank, all.end());
  if (inner.laneDim >= axis)
    inner.laneDim -= indexRank - 1;
  Value read = at(op.getInput(), inner);
  if (!inside)
    return read;
  return e.select(inside, read, e.splat(e.constant(getElementTypeOrSelf(read.getType()), 0), place.lanes));
}

Value Evaluator::gatherNd(nn::GatherNdOp op, const Place &place) {
  ArrayRef<int64_t> indexShape = tensorType(op.getIndices()).getShape(),
                    inputShape = tensorType(op.getInput()).getShape();
  int64_t lookups = indexShape.size() - 1, depth = indexShape.back(), batch = op.getBatchDims();
  if (place.isRun() && place.laneDim < lookups)
    return perLane(op.getResult(), place);
  ArrayRef<Value> all = place.index;
  Place inner = place;
  inner.index.assign(all.begin(), all.begin() + batch);
  for (int64_t k = 0; k < depth; ++k) {
    SmallVector<Value> where(all.begin(), all.begin() + lookups);
    where.push_back(e.i64(k));
    inner.index.push_back(wrapped(at(op.getIndices(), Place::element(where)), inputShape[batch + k]));
  }
  inner.index.append(all.begin() + lookups, all.end());
  inner.laneDim += batch + depth - lookups;
  return at(op.getInput(), inner);
}

Value Evaluator::rotary(nn::RotaryOp op, const Place &place) {
  int64_t dim = place.index.size() - 1, half = tensorType(op.getCos()).getShape().back(),
          width = e.target.vectorWidth();
  int64_t rotated = 2 * half, size = tensorType(op.getInput()).getDimSize(dim);
  bool tiles = half % width == 0 && size % width == 0 && place.laneStep == 1 && !op.getInterleaved();
  if (place.isRun() && place.laneDim == dim && !tiles)
    return perLane(op.getResult(), place);
  using P = arith::CmpIPredicate;
  Value i = place.index[dim], pair, partner, second;
  if (op.getInterleaved()) {
    pair = e.minimum(e.div(i, 2), e.i64(half - 1));
    second = e.compare(P::ne, e.rem(i, 2), e.i64(0));
    partner = e.select(second, e.sub(i, e.i64(1)), e.minimum(e.add(i, e.i64(1)), e.i64(size - 1)));
  } else {
    second = e.compare(P::sge, i, e.i64(half));
    pair = e.select(second, e.sub(i, e.i64(half)), i);
    pair = e.minimum(pair, e.i64(half - (place.laneDim == dim ? std::min(half, place.lanes) : 1)));
    partner = e.select(second, e.sub(i, e.i64(half)), e.add(i, e.i64(half)));
  }
  Place angle = place, other = place;
  angle.index[dim] = pair;
  other.index[dim] = partner;
  Value x = at(op.getInput(), place), y = at(op.getInput(), other);
  Value cos = e.splat(at(op.getCos(), broadcastPlace(op.getCos(), angle)), place.lanes);
  Value sin = e.splat(at(op.getSin(), broadcastPlace(op.getSin(), angle)), place.lanes);
  Value ySin = arith::MulFOp::create(e.b, e.loc, y, sin), xCos = arith::MulFOp::create(e.b, e.loc, x, cos);
  Value turned =
      e.select(second, arith::AddFOp::create(e.b, e.loc, xCos, ySin), arith::SubFOp::create(e.b, e.loc, xCos, ySin));
  return rotated == size ? turned : e.select(e.compare(P::slt, i, e.i64(rotated)), turned, x);
}

Value Evaluator::iota(nn::IotaOp op, const Place &place) {
  Type element = tensorType(op.getResult()).getElementType(), type = registerType(element);
  Value index = place.index[op.getAxis()];
  if (place.isRun() && place.laneDim == int64_t(op.getAxis())) {
    SmallVector<Value> lanes;
    for (int64_t k = 0; k < place.lanes; ++k)
      lanes.push_back(e.add(index, e.i64(k * place.laneStep)));
    index = e.fromLanes(lanes);
  }
  auto withLanes = [&](Type scalar) {
    auto vector = dyn_cast<VectorType>(index.getType());
    return vector ? Type(VectorType::get(vector.getShape(), scalar)) : scalar;
  };
  double start = op.getStart().convertToDouble(), step = op.getStep().convertToDouble();
  if (isa<IntegerType>(type)) {
    Value scaled = arith::MulIOp::create(e.b, e.loc, index, e.constant(index.getType(), step));
    scaled = arith::AddIOp::create(e.b, e.loc, scaled, e.constant(index.getType(), start));
    if (type.getIntOrFloatBitWidth() < 64)
      scaled = arith::TruncIOp::create(e.b, e.loc, withLanes(type), scaled);
    return scaled;
  }
  Type wide = withLanes(e.b.getF64Type());
  Value number = arith::SIToFPOp::create(e.b, e.loc, wide, index);
  number = arith::AddFOp::create(e.b, e.loc, arith::MulFOp::create(e.b, e.loc, number, e.constant(wide, step)),
                                 e.constant(wide, start));
  return type.isF64() ? number : Value(arith::TruncFOp::create(e.b, e.loc, withLanes(type), number));
}

Value Evaluator::computeIndexOp(Operation *op, const Place &place) {
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::GatherOp gatherOp) { return gather(gatherOp, place); })
      .Case([&](nn::GatherNdOp gatherOp) { return gatherNd(gatherOp, place); })
      .Case([&](nn::RotaryOp rotaryOp) { return rotary(rotaryOp, place); })
      .Case([&](nn::IotaOp iotaOp) { return iota(iotaOp, place); })
      .Case([&](nn::ConstantOp constantOp) { return constant(constantOp, place); })
      .Case([&](nn::GatherElementsOp gatherOp) {
        if (place.isRun())
          return perLane(gatherOp.getResult(), place);
        Place inner = place;
        int64_t axis = gatherOp.getAxis();
        inner.index[axis] = wrapped(at(gatherOp.getIndices(), place), tensorType(gatherOp.getInput()).getDimSize(axis));
        return at(gatherOp.getInput(), inner);
      })
      .Default([](Operation *) { return Value(); });
}

Value Evaluator::constant(nn::ConstantOp op, const Place &place) {
  Type type = registerType(tensorType(op.getResult()).getElementType());
  auto dense = dyn_cast<DenseElementsAttr>(op.getValue());
  if (dense && dense.isSplat() && isa<IntegerType>(type)) {
    auto attr = e.b.getIntegerAttr(type, dense.getSplatValue<APInt>());
    return e.splat(arith::ConstantOp::create(e.b, e.loc, attr), place.lanes);
  }
  return e.splat(e.constant(type, splatOf(op.getResult()).value_or(0)), place.lanes);
}
