#include "Lower.h"
#include "MathF64.h"
#include "Product.h"
#include <limits>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;
using nn::ReduceKind;

namespace {

/// Attention by tiles of queries and keys with running maxima and sums (online softmax); everything of a tile lives on the stack.
struct Attention {
  Kernel &kernel;
  nn::AttentionOp op;
  Emitter &e = kernel.e;
  Evaluator &ev = kernel.ev;
  Type type; // of scores and sums
  int64_t heads, kvHeads, queries, keys, depth, valueDepth;
  int64_t queryTile, keyTile;
  bool byDots; // few queries: scores are dot products along the depth, and keys are not worth transposing
  // Stack: keys of a tile transposed [depth][keyTile], scores [queryTile][keyTile], results [queryTile][valueDepth], and per query the
  // largest score so far, the sum, and the factor that the last tile rescales by.
  Value keysT, scores, results, peaks, sums, factors;
  Value batch, head, kvHead;

  Attention(Kernel &kernel, nn::AttentionOp op);
  void chooseTiles();
  void oneHead();
  void queryBlock(Value first, int64_t count);
  void keyBlock(Value firstQuery, int64_t queryCount, Value firstKey, int64_t keyCount);
  void transposeKeys(Value first, int64_t count);
  void score(Value firstQuery, int64_t queryCount, Value firstKey, int64_t keyCount);
  void scoreByDots(Value firstQuery, int64_t queryCount, Value firstKey, int64_t keyCount);
  Value dot(Value query, Value key);
  Value adjustScores(Value query, Value key, int64_t lanes, Value dots);
  void softmaxRow(Value row, int64_t keyCount);
  void addValues(int64_t queryCount, Value firstKey, int64_t keyCount);
  void writeRow(Value firstQuery, Value row);

  Value at(Value operand, ArrayRef<Value> index, int64_t lanes) {
    ev.fresh();
    Value value = e.splat(ev.at(operand, Place::run(index, lanes)), lanes);
    ev.fresh();
    return value;
  }
  Value exp(Value x) { return type.isF64() ? f64::exp(e, x) : Value(math::ExpOp::create(e.b, e.loc, x)); }
};

} // namespace

Attention::Attention(Kernel &kernel, nn::AttentionOp op) : kernel(kernel), op(op) {
  ArrayRef<int64_t> q = tensorType(op.getQuery()).getShape(), k = tensorType(op.getKey()).getShape();
  type = registerType(tensorType(op.getQuery()).getElementType());
  heads = q[1];
  kvHeads = k[1];
  queries = q[2];
  keys = k[2];
  depth = q[3];
  valueDepth = tensorType(op.getValue()).getShape()[3];
  chooseTiles();
  if (!byDots)
    keysT = e.stack(type, depth * keyTile);
  scores = e.stack(type, queryTile * keyTile);
  results = e.stack(type, queryTile * valueDepth);
  peaks = e.stack(type, queryTile);
  sums = e.stack(type, queryTile);
  factors = e.stack(type, queryTile);
}

void Attention::chooseTiles() {
  int64_t width = e.target.vectorWidth(), limit = 56 << 10;
  byDots = queries <= 3;
  queryTile = std::min<int64_t>(queries, 64);
  keyTile = std::min<int64_t>((keys + width - 1) / width * width, byDots ? 1024 : 64);
  auto bytes = [&] {
    return ((byDots ? 0 : depth * keyTile) + queryTile * keyTile + queryTile * valueDepth + 3 * queryTile) *
           elementBytes(type);
  };
  while (bytes() > limit && queryTile > 16)
    queryTile = std::max<int64_t>(16, queryTile / 2);
  while (bytes() > limit && keyTile > width)
    keyTile = std::max(width, keyTile / 2 / width * width);
  while (bytes() > limit && queryTile > 1)
    queryTile /= 2;
}

/// width x width blocks go through registers; the rest element by element.
void Attention::transposeKeys(Value first, int64_t count) {
  int64_t width = e.target.vectorWidth();
  std::optional<View> view = ev.viewOf(op.getKey());
  bool inRegisters = view && view->strides[3] == 1 && !type.isF64();
  int64_t blockKeys = inRegisters ? count / width * width : 0, blockDepth = inRegisters ? depth / width * width : 0;
  if (blockKeys && blockDepth)
    e.loop(0, blockKeys, width, [&](Value j) {
      e.loop(0, blockDepth, width, [&](Value d) {
        SmallVector<Value> rows;
        for (int64_t i = 0; i < width; ++i)
          rows.push_back(ev.load(*view, Place::run({batch, kvHead, e.add(first, e.add(j, e.i64(i))), d}, width)));
        // log2(width) perfect shuffles transpose.
        SmallVector<int64_t> low, high;
        for (int64_t i = 0; i < width / 2; ++i) {
          low.append({i, width + i});
          high.append({width / 2 + i, width + width / 2 + i});
        }
        for (int64_t stage = 1; stage < width; stage *= 2) {
          SmallVector<Value> next;
          for (int64_t i = 0; i < width / 2; ++i) {
            next.push_back(vector::ShuffleOp::create(e.b, e.loc, rows[i], rows[i + width / 2], low));
            next.push_back(vector::ShuffleOp::create(e.b, e.loc, rows[i], rows[i + width / 2], high));
          }
          rows = next;
        }
        for (int64_t i = 0; i < width; ++i)
          e.store(rows[i], keysT, type, e.add(e.mul(e.add(d, e.i64(i)), keyTile), j));
      });
    });
  auto copy = [&](Value j, Value d) {
    e.store(at(op.getKey(), {batch, kvHead, e.add(first, j), d}, 1), keysT, type, e.add(e.mul(d, keyTile), j));
  };
  e.loop(0, blockKeys, 1, [&](Value j) { e.loop(blockDepth, depth, 1, [&](Value d) { copy(j, d); }); });
  e.loop(blockKeys, count, 1, [&](Value j) { e.loop(0, depth, 1, [&](Value d) { copy(j, d); }); });
}

/// Scale, softcap, mask and causality.
Value Attention::adjustScores(Value query, Value key, int64_t lanes, Value dots) {
  Type vector = dots.getType();
  double scale = op.getScale().convertToDouble(), cap = op.getSoftcap().convertToDouble();
  Value low = e.constant(vector, -std::numeric_limits<double>::infinity());
  Value x = arith::MulFOp::create(e.b, e.loc, dots, e.constant(vector, scale));
  if (cap > 0) {
    x = arith::DivFOp::create(e.b, e.loc, x, e.constant(vector, cap));
    x = type.isF64() ? f64::tanh(e, x) : Value(math::TanhOp::create(e.b, e.loc, x));
    x = arith::MulFOp::create(e.b, e.loc, x, e.constant(vector, cap));
  }
  if (Value mask = op.getMask()) {
    ArrayRef<int64_t> shape = tensorType(mask).getShape();
    SmallVector<Value> all{batch, head, query, key}, index;
    for (size_t d = 0; d < shape.size(); ++d)
      index.push_back(shape[d] == 1 ? e.i64(0) : all[d + 4 - shape.size()]);
    bool varies = !shape.empty() && shape.back() != 1;
    Value m = e.splat(at(mask, index, varies ? lanes : 1), lanes);
    if (tensorType(mask).getElementType().isInteger(1)) {
      x = e.select(m, x, low);
    } else {
      if (m.getType() != vector)
        m = getElementTypeOrSelf(m.getType()).isF64() ? Value(arith::TruncFOp::create(e.b, e.loc, vector, m))
                                                      : Value(arith::ExtFOp::create(e.b, e.loc, vector, m));
      x = arith::AddFOp::create(e.b, e.loc, x, m);
    }
  }
  if (op.getCausal()) {
    SmallVector<Value> positions;
    for (int64_t k = 0; k < lanes; ++k)
      positions.push_back(e.add(key, e.i64(k)));
    Value last = e.splat(e.add(query, e.i64(op.getCausalOffset())), lanes);
    Value allowed = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sle, e.fromLanes(positions), last);
    x = e.select(allowed, x, low);
  }
  return x;
}

void Attention::score(Value firstQuery, int64_t queryCount, Value firstKey, int64_t keyCount) {
  int64_t width = e.target.vectorWidth();
  Product product;
  product.rows = queryCount;
  product.columns = keyCount;
  product.depth = depth;
  product.type = type;
  product.panel = std::min((keyCount + width - 1) / width, e.target.hasAvx512() ? int64_t(4) : int64_t(2)) * width;
  product.longFinish = op.getMask() || op.getCausal() || op.getSoftcap().convertToDouble() > 0;
  std::optional<View> view = ev.viewOf(op.getQuery());
  product.lhs = [&](Value row, Value k) {
    SmallVector<Value> index{batch, head, e.add(firstQuery, row), k};
    return view ? ev.load(*view, Place::element(index)) : at(op.getQuery(), index, 1);
  };
  product.rhs = [&](Value, Value start, int64_t offset, Value k, int64_t) {
    return e.load(keysT, type, e.add(e.mul(k, keyTile), e.add(start, e.i64(offset))), width);
  };
  product.finish = [&](Value row, Value column, int64_t lanes, Value dots) {
    Value x = adjustScores(e.add(firstQuery, row), e.add(firstKey, column), lanes, dots);
    e.store(x, scores, type, e.add(e.mul(row, keyTile), column));
  };
  emitProduct(e, product);
}

/// The product of a query and a key.
Value Attention::dot(Value query, Value key) {
  int64_t width = e.target.vectorWidth(), whole = depth / width * width;
  auto term = [&](Value d, int64_t lanes, Value sum) {
    Value q = at(op.getQuery(), {batch, head, query, d}, lanes), k = at(op.getKey(), {batch, kvHead, key, d}, lanes);
    return e.fma(q, k, sum);
  };
  Value sum = e.constant(type, 0);
  if (whole) {
    SmallVector<Value> lanes =
        e.loop(0, whole, width, {e.constant(VectorType::get({width}, type), 0)},
               [&](Value d, ValueRange carried) -> SmallVector<Value> { return {term(d, width, carried[0])}; });
    sum = e.reduceLanes(vector::CombiningKind::ADD, lanes[0]);
  }
  if (whole < depth) {
    int64_t rest = depth - whole;
    Value start = rest == 1 ? e.constant(type, 0) : e.constant(VectorType::get({rest}, type), 0);
    Value last = e.reduceLanes(vector::CombiningKind::ADD, term(e.i64(whole), rest, start));
    sum = arith::AddFOp::create(e.b, e.loc, sum, last);
  }
  return sum;
}

void Attention::scoreByDots(Value firstQuery, int64_t queryCount, Value firstKey, int64_t keyCount) {
  e.loop(0, queryCount, 1, [&](Value row) {
    Value query = e.add(firstQuery, row), base = e.mul(row, keyTile);
    e.loop(0, keyCount, 1,
           [&](Value key) { e.store(dot(query, e.add(firstKey, key)), scores, type, e.add(base, key)); });
    e.chunks(keyCount, [&](Value key, int64_t lanes) {
      Value at = e.add(base, key), dots = e.load(scores, type, at, lanes);
      e.store(adjustScores(query, e.add(firstKey, key), lanes, dots), scores, type, at);
    });
  });
}

/// Scores of one row to powers, with the row's running maximum and sum.
void Attention::softmaxRow(Value row, int64_t keyCount) {
  Value base = e.mul(row, keyTile);
  Value before = e.load(peaks, type, row, 1);
  Value peak = accumulate(kernel, {keyCount}, type, {ReduceKind::Max},
                          [&](ArrayRef<Value> i, int64_t lanes) -> SmallVector<Value> {
                            return {e.load(scores, type, e.add(base, i[0]), lanes)};
                          })[0];
  peak = combine(e, ReduceKind::Max, type, before, peak);
  // While all scores are -inf, powers are taken of score - 0, which is e^-inf = 0.
  Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, peak,
                                     e.constant(type, -std::numeric_limits<double>::infinity()));
  Value shift = e.select(none, e.constant(type, 0), peak);
  Value factor = exp(arith::SubFOp::create(e.b, e.loc, before, shift));
  Value total = accumulate(kernel, {keyCount}, type, {ReduceKind::Sum},
                           [&](ArrayRef<Value> i, int64_t lanes) -> SmallVector<Value> {
                             Value x = e.load(scores, type, e.add(base, i[0]), lanes);
                             Value power = exp(arith::SubFOp::create(e.b, e.loc, x, e.splat(shift, lanes)));
                             e.store(power, scores, type, e.add(base, i[0]));
                             return {power};
                           })[0];
  Value sum = e.fma(e.load(sums, type, row, 1), factor, total);
  e.store(peak, peaks, type, row);
  e.store(sum, sums, type, row);
  e.store(factor, factors, type, row);
}

void Attention::addValues(int64_t queryCount, Value firstKey, int64_t keyCount) {
  int64_t width = e.target.vectorWidth();
  std::optional<View> view = ev.viewOf(op.getValue());
  Product product;
  product.rows = queryCount;
  product.columns = valueDepth;
  product.depth = keyCount;
  product.type = type;
  product.panel = std::min((valueDepth + width - 1) / width, e.target.hasAvx512() ? int64_t(4) : int64_t(2)) * width;
  product.lhs = [&](Value row, Value k) { return e.load(scores, type, e.add(e.mul(row, keyTile), k), 1); };
  product.rhs = [&](Value, Value start, int64_t offset, Value k, int64_t lanes) {
    SmallVector<Value> index{batch, kvHead, e.add(firstKey, k), e.add(start, e.i64(offset))};
    if (view && view->strides[3] == 1) {
      Value linear = e.i64(view->offset);
      for (auto [i, stride] : llvm::zip_equal(index, view->strides))
        linear = e.add(linear, e.mul(i, stride));
      return e.loadPartial(view->pointer, view->element, linear, lanes, width);
    }
    SmallVector<Value> all;
    Value run = at(op.getValue(), index, lanes);
    for (int64_t i = 0; i < width; ++i)
      all.push_back(i < lanes ? e.lane(run, i) : e.constant(type, 0));
    return e.fromLanes(all);
  };
  product.init = [&](Value row, Value column, int64_t lanes) {
    Value old = e.loadPartial(results, type, e.add(e.mul(row, valueDepth), column), lanes, width);
    return arith::MulFOp::create(e.b, e.loc, old, e.splat(e.load(factors, type, row, 1), width)).getResult();
  };
  product.finish = [&](Value row, Value column, int64_t, Value sums) {
    e.store(sums, results, type, e.add(e.mul(row, valueDepth), column));
  };
  emitProduct(e, product);
}

void Attention::keyBlock(Value firstQuery, int64_t queryCount, Value firstKey, int64_t keyCount) {
  if (byDots) {
    scoreByDots(firstQuery, queryCount, firstKey, keyCount);
  } else {
    transposeKeys(firstKey, keyCount);
    score(firstQuery, queryCount, firstKey, keyCount);
  }
  e.loop(0, queryCount, 1, [&](Value row) { softmaxRow(row, keyCount); });
  addValues(queryCount, firstKey, keyCount);
}

void Attention::writeRow(Value firstQuery, Value row) {
  Value sum = e.load(sums, type, row, 1), factor = arith::DivFOp::create(e.b, e.loc, e.constant(type, 1), sum);
  if (op.getSafe()) {
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, sum, e.constant(type, 0));
    factor = e.select(none, e.constant(type, 0), factor);
  }
  e.chunks(valueDepth, [&](Value d, int64_t lanes) {
    Value x = e.load(results, type, e.add(e.mul(row, valueDepth), d), lanes);
    // 0 * inf: a row without keys gives NaN, as the definition does.
    x = arith::MulFOp::create(e.b, e.loc, x, e.splat(factor, lanes));
    ev.fresh();
    ev.provide(op.getResult(), [&](const Place &) { return x; });
    kernel.store(Place::run({batch, head, e.add(firstQuery, row), d}, lanes));
    ev.fresh();
  });
}

void Attention::queryBlock(Value first, int64_t count) {
  int64_t whole = keys / keyTile * keyTile;
  e.loop(0, count, 1, [&](Value row) {
    e.store(e.constant(type, -std::numeric_limits<double>::infinity()), peaks, type, row);
    e.store(e.constant(type, 0), sums, type, row);
    e.chunks(valueDepth, [&](Value d, int64_t lanes) {
      Value zero = e.splat(e.constant(type, 0), lanes);
      e.store(zero, results, type, e.add(e.mul(row, valueDepth), d));
    });
  });
  // Keys after the last one that the last query may see need no work.
  Value end = e.i64(keys);
  if (op.getCausal())
    end = e.maximum(e.minimum(end, e.add(first, e.i64(count + op.getCausalOffset()))), e.i64(0));
  e.loop(e.i64(0), e.minimum(end, e.i64(whole)), keyTile, [&](Value key) { keyBlock(first, count, key, keyTile); });
  if (whole < keys)
    e.loop(e.i64(whole), end, keyTile, [&](Value key) { keyBlock(first, count, key, keys - whole); });
  e.loop(0, count, 1, [&](Value row) { writeRow(first, row); });
}

void Attention::oneHead() {
  int64_t whole = queries / queryTile * queryTile;
  e.loop(0, whole, queryTile, [&](Value first) { queryBlock(first, queryTile); });
  if (whole < queries)
    queryBlock(e.i64(whole), queries - whole);
}

LogicalResult mpopt::codegen::lowerAttention(Kernel &kernel, nn::AttentionOp op) {
  Emitter &e = kernel.e;
  Attention attention(kernel, op);
  if (e.stackBytes() > (64 << 10))
    return op.emitOpError("has heads too deep for one kernel");
  e.nest(ArrayRef(tensorType(op.getQuery()).getShape()).take_front(2), [&](ArrayRef<Value> index) {
    attention.batch = index[0];
    attention.head = index[1];
    attention.kvHead = e.div(index[1], attention.heads / attention.kvHeads);
    attention.oneHead();
  });
  return success();
}
