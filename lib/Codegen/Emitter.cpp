#include "Emitter.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mpopt::codegen;

Type mpopt::codegen::registerType(Type type) {
  if (type.isF16() || type.isBF16())
    return Float32Type::get(type.getContext());
  if (auto integer = dyn_cast<IntegerType>(type))
    return IntegerType::get(type.getContext(), integer.getWidth());
  return type;
}

int64_t mpopt::codegen::elementBytes(Type type) { return (type.getIntOrFloatBitWidth() + 7) / 8; }

SmallVector<int64_t> mpopt::codegen::denseStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t d = int64_t(shape.size()) - 2; d >= 0; --d)
    strides[d] = strides[d + 1] * shape[d + 1];
  return strides;
}

std::optional<int64_t> mpopt::codegen::constantOf(Value value) {
  APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Index arithmetic
//===----------------------------------------------------------------------===//

Value Emitter::i64(int64_t value) { return arith::ConstantIntOp::create(b, loc, value, 64); }

Value Emitter::add(Value x, Value y) {
  auto cx = constantOf(x), cy = constantOf(y);
  if (cx && cy)
    return i64(*cx + *cy);
  if (cx && *cx == 0)
    return y;
  if (cy && *cy == 0)
    return x;
  return arith::AddIOp::create(b, loc, x, y);
}

Value Emitter::sub(Value x, Value y) {
  auto cx = constantOf(x), cy = constantOf(y);
  if (cx && cy)
    return i64(*cx - *cy);
  if (cy && *cy == 0)
    return x;
  return arith::SubIOp::create(b, loc, x, y);
}

Value Emitter::mul(Value x, int64_t y) {
  if (auto cx = constantOf(x))
    return i64(*cx * y);
  if (y == 1)
    return x;
  if (y == 0)
    return i64(0);
  return arith::MulIOp::create(b, loc, x, i64(y));
}

// Indices are never negative, and unsigned division by a constant is the cheaper one.
Value Emitter::div(Value x, int64_t y) {
  if (auto cx = constantOf(x))
    return i64(*cx / y);
  return y == 1 ? x : Value(arith::DivUIOp::create(b, loc, x, i64(y)));
}

Value Emitter::rem(Value x, int64_t y) {
  if (auto cx = constantOf(x))
    return i64(*cx % y);
  return y == 1 ? i64(0) : Value(arith::RemUIOp::create(b, loc, x, i64(y)));
}

Value Emitter::minimum(Value x, Value y) { return b.createOrFold<arith::MinSIOp>(loc, x, y); }
Value Emitter::maximum(Value x, Value y) { return b.createOrFold<arith::MaxSIOp>(loc, x, y); }

Value Emitter::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(loc, predicate, x, y);
}

Value Emitter::both(Value x, Value y) { return b.createOrFold<arith::AndIOp>(loc, x, y); }

//===----------------------------------------------------------------------===//
// Values in registers
//===----------------------------------------------------------------------===//

Value Emitter::constant(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr attr;
  if (auto floating = dyn_cast<FloatType>(element))
    attr = b.getFloatAttr(floating, value);
  else if (element.isInteger(1))
    attr = b.getIntegerAttr(element, value != 0);
  else
    attr = b.getIntegerAttr(element, APInt(element.getIntOrFloatBitWidth(), uint64_t(int64_t(value)), false, true));
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value Emitter::splat(Value value, int64_t lanes) {
  if (lanes == 1 || isa<VectorType>(value.getType()))
    return value;
  return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, value.getType()), value);
}

Value Emitter::select(Value condition, Value x, Value y) {
  return b.createOrFold<arith::SelectOp>(loc, condition, x, y);
}

Value Emitter::lane(Value vector, int64_t index) {
  if (!isa<VectorType>(vector.getType()))
    return vector;
  return vector::ExtractOp::create(b, loc, vector, ArrayRef<int64_t>{index});
}

Value Emitter::fromLanes(ArrayRef<Value> lanes) {
  if (lanes.size() == 1)
    return lanes[0];
  return vector::FromElementsOp::create(b, loc, VectorType::get({int64_t(lanes.size())}, lanes[0].getType()), lanes);
}

Value Emitter::firstLanes(Value vector, int64_t lanes) {
  auto type = dyn_cast<VectorType>(vector.getType());
  if (!type || type.getNumElements() == lanes)
    return vector;
  if (lanes == 1)
    return lane(vector, 0);
  SmallVector<int64_t> mask(lanes);
  for (int64_t i = 0; i < lanes; ++i)
    mask[i] = i;
  return vector::ShuffleOp::create(b, loc, vector, vector, mask);
}

Value Emitter::fma(Value x, Value y, Value z) { return math::FmaOp::create(b, loc, x, y, z); }

Value Emitter::reduceLanes(vector::CombiningKind kind, Value vector) {
  if (!isa<VectorType>(vector.getType()))
    return vector;
  return vector::ReductionOp::create(b, loc, kind, vector, arith::FastMathFlags::reassoc);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// How elements lie in memory, where that differs from registers: booleans as bytes, bf16 as its bits.
static Type memoryType(Type element) {
  MLIRContext *context = element.getContext();
  if (element.isInteger(1))
    return IntegerType::get(context, 8);
  if (element.isBF16())
    return IntegerType::get(context, 16);
  if (auto integer = dyn_cast<IntegerType>(element))
    return IntegerType::get(context, integer.getWidth());
  return element;
}

static Type withLanes(Type element, int64_t lanes) {
  return lanes == 1 ? element : Type(VectorType::get({lanes}, element));
}

static Type sameLanes(Type like, Type element) {
  auto vector = dyn_cast<VectorType>(like);
  return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
}

Value Emitter::address(Value pointer, Type element, Value index) {
  return LLVM::GEPOp::create(b, loc, pointer.getType(), memoryType(element), pointer, ArrayRef<LLVM::GEPArg>{index},
                             LLVM::GEPNoWrapFlags::inbounds);
}

Value Emitter::moved(Value pointer, Type element, Value index) {
  return LLVM::GEPOp::create(b, loc, pointer.getType(), memoryType(element), pointer, ArrayRef<LLVM::GEPArg>{index});
}

// bf16 is the upper half of an f32. The instruction for it is in neither target, and LLVM would call a library.
static Value widenBF16(Emitter &e, Value bits) {
  Type i32 = sameLanes(bits.getType(), e.b.getI32Type());
  Value wide = arith::ExtUIOp::create(e.b, e.loc, i32, bits);
  wide = arith::ShLIOp::create(e.b, e.loc, wide, e.constant(i32, 16));
  return arith::BitcastOp::create(e.b, e.loc, sameLanes(i32, e.b.getF32Type()), wide);
}

static Value narrowBF16(Emitter &e, Value value) {
  Type i32 = sameLanes(value.getType(), e.b.getI32Type());
  Value bits = arith::BitcastOp::create(e.b, e.loc, i32, value);
  Value sixteen = e.constant(i32, 16);
  Value odd = arith::AndIOp::create(e.b, e.loc, arith::ShRUIOp::create(e.b, e.loc, bits, sixteen), e.constant(i32, 1));
  Value rounded =
      arith::AddIOp::create(e.b, e.loc, bits, arith::AddIOp::create(e.b, e.loc, odd, e.constant(i32, 0x7fff)));
  Value nan = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UNO, value, value);
  Value quiet = arith::OrIOp::create(e.b, e.loc, bits, e.constant(i32, 0x400000));
  Value high = arith::ShRUIOp::create(e.b, e.loc, e.select(nan, quiet, rounded), sixteen);
  return arith::TruncIOp::create(e.b, e.loc, sameLanes(i32, e.b.getI16Type()), high);
}

Value Emitter::load(Value pointer, Type element, Value index, int64_t lanes) {
  Type type = withLanes(memoryType(element), lanes);
  Value value = LLVM::LoadOp::create(b, loc, type, address(pointer, element, index), /*alignment=*/1);
  if (element.isInteger(1))
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value, constant(type, 0));
  if (element.isBF16())
    return widenBF16(*this, value);
  if (element.isF16())
    return arith::ExtFOp::create(b, loc, sameLanes(type, b.getF32Type()), value);
  return value;
}

void Emitter::store(Value value, Value pointer, Type element, Value index) {
  if (element.isInteger(1))
    value = arith::ExtUIOp::create(b, loc, sameLanes(value.getType(), b.getI8Type()), value);
  else if (element.isBF16())
    value = narrowBF16(*this, value);
  else if (element.isF16())
    value = arith::TruncFOp::create(b, loc, sameLanes(value.getType(), element), value);
  LLVM::StoreOp::create(b, loc, value, address(pointer, element, index), /*alignment=*/1);
}

Value Emitter::loadPartial(Value pointer, Type element, Value index, int64_t lanes, int64_t width) {
  if (lanes == width)
    return load(pointer, element, index, lanes);
  auto type = VectorType::get({width}, registerType(element));
  if (element.isF32() || element.isF64()) {
    SmallVector<bool> bits(width, false);
    std::fill_n(bits.begin(), lanes, true);
    auto mask = DenseElementsAttr::get(VectorType::get({width}, b.getI1Type()), ArrayRef<bool>(bits));
    return LLVM::MaskedLoadOp::create(b, loc, type, address(pointer, element, index),
                                      arith::ConstantOp::create(b, loc, mask), constant(type, 0), uint32_t(1));
  }
  SmallVector<Value> all;
  Value zero = constant(type.getElementType(), 0);
  Value loaded = load(pointer, element, index, lanes);
  for (int64_t i = 0; i < width; ++i)
    all.push_back(i < lanes ? lane(loaded, i) : zero);
  return fromLanes(all);
}

Value Emitter::stack(Type element, int64_t elements) {
  usedStack += (elements * elementBytes(element) + 63) / 64 * 64;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(entry);
  return LLVM::AllocaOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext()), memoryType(element), i64(elements),
                                /*alignment=*/64);
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

SmallVector<Value> Emitter::loop(Value from, Value to, int64_t step, ValueRange carried, const CarryBody &body) {
  auto cFrom = constantOf(from), cTo = constantOf(to);
  if (cFrom && cTo && *cTo <= *cFrom)
    return SmallVector<Value>(carried);
  if (cFrom && cTo && *cTo - *cFrom <= step)
    return body(from, carried);
  auto op = scf::ForOp::create(b, loc, from, to, i64(step), carried);
  OpBuilder::InsertionGuard guard(b);
  Block *block = op.getBody();
  b.setInsertionPointToStart(block);
  SmallVector<Value> results = body(op.getInductionVar(), op.getRegionIterArgs());
  // Without carried values the builder has made the terminator already.
  if (carried.empty() && block->mightHaveTerminator())
    return {};
  scf::YieldOp::create(b, loc, results);
  return SmallVector<Value>(op.getResults());
}

SmallVector<Value> Emitter::loop(int64_t from, int64_t to, int64_t step, ValueRange carried, const CarryBody &body) {
  return loop(i64(from), i64(to), step, carried, body);
}

void Emitter::loop(Value from, Value to, int64_t step, const Body &body) {
  loop(from, to, step, ValueRange{}, [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>{};
  });
}

void Emitter::loop(int64_t from, int64_t to, int64_t step, const Body &body) { loop(i64(from), i64(to), step, body); }

void Emitter::nest(ArrayRef<int64_t> shape, const std::function<void(ArrayRef<Value>)> &body) {
  SmallVector<Value> index;
  std::function<void(size_t)> enter = [&](size_t d) {
    if (d == shape.size())
      return body(index);
    loop(0, shape[d], 1, [&](Value i) {
      index.push_back(i);
      enter(d + 1);
      index.pop_back();
    });
  };
  enter(0);
}

void Emitter::chunks(int64_t size, const std::function<void(Value, int64_t)> &body) {
  int64_t width = target.vectorWidth(), whole = size / width * width;
  if (whole)
    loop(0, whole, width, [&](Value start) { body(start, width); });
  if (whole < size)
    body(i64(whole), size - whole);
}

Value Emitter::branch(Value condition, const std::function<Value()> &yes, const std::function<Value()> &no) {
  if (auto known = constantOf(condition))
    return *known ? yes() : no();
  OpBuilder::InsertionGuard guard(b);
  OpBuilder::InsertPoint here = b.saveInsertionPoint();
  Block thenBlock, elseBlock;
  b.setInsertionPointToStart(&thenBlock);
  Value result = yes();
  scf::YieldOp::create(b, loc, result);
  b.setInsertionPointToStart(&elseBlock);
  scf::YieldOp::create(b, loc, no());
  b.restoreInsertionPoint(here);
  auto op = scf::IfOp::create(b, loc, result.getType(), condition, /*withElseRegion=*/true);
  for (auto [block, region] : {std::pair{&thenBlock, &op.getThenRegion()}, {&elseBlock, &op.getElseRegion()}}) {
    Block &target = region->empty() ? region->emplaceBlock() : region->front();
    target.getOperations().splice(target.end(), block->getOperations());
  }
  return op.getResult(0);
}
