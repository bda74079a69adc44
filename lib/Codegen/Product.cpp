#include "Product.h"

using namespace mlir;
using namespace mpopt::codegen;

namespace {

/// A panel, or what of it has columns.
struct Panel {
  Value number, start;
  int64_t columns;
};

struct ProductEmitter {
  Emitter &e;
  const Product &p;
  int64_t width = e.target.vectorWidth();
  Value tile; // stack memory for long finishes
  // The part of the depth that is summed now.
  Value from = nullptr, to = nullptr;
  bool isFirst = true, isLast = true;

  ProductEmitter(Emitter &e, const Product &product) : e(e), p(product) {}

  int64_t vectors(const Panel &panel) const { return (panel.columns + width - 1) / width; }
  int64_t lanes(const Panel &panel, int64_t j) const { return std::min(width, panel.columns - j * width); }

  Value multiplyAdd(Value x, Value y, Value sum) {
    if (isa<FloatType>(p.type))
      return e.fma(x, y, sum);
    return arith::AddIOp::create(e.b, e.loc, arith::MulIOp::create(e.b, e.loc, x, y), sum);
  }

  void block(const Panel &panel, Value row, int64_t rows);
  void finishBlock(const Panel &panel, Value row, int64_t rows, ArrayRef<Value> sums);
  void rowBlocks(const Panel &panel, Value first, int64_t rows);
  void panels(Value first, int64_t rows);
  void part(Value begin, int64_t depth, bool first, bool last);
  int64_t mostRows(int64_t depth) const;
  void all();
};

/// Depth of one part of a deep product, and bytes of the left matrix that a cache of the second level keeps.
constexpr int64_t kPartDepth = 768, kCachedBytes = 1 << 20;

} // namespace

/// The innermost loop: rows x vectors sums in registers over the whole depth.
void ProductEmitter::block(const Panel &panel, Value row, int64_t rows) {
  int64_t count = vectors(panel);
  auto type = VectorType::get({width}, p.type);
  SmallVector<Value> start;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < count; ++j) {
      Value column = e.add(panel.start, e.i64(j * width));
      auto init = isFirst ? p.init : p.kept;
      start.push_back(init ? init(e.add(row, e.i64(i)), column, lanes(panel, j)) : e.constant(type, 0));
    }
  SmallVector<Value> sums = e.loop(from, to, 1, start, [&](Value k, ValueRange carried) {
    SmallVector<Value> right, next;
    for (int64_t j = 0; j < count; ++j)
      right.push_back(p.rhs(panel.number, panel.start, j * width, k, lanes(panel, j)));
    for (int64_t i = 0; i < rows; ++i) {
      Value left = e.splat(p.lhs(e.add(row, e.i64(i)), k), width);
      for (int64_t j = 0; j < count; ++j)
        next.push_back(multiplyAdd(left, right[j], carried[i * count + j]));
    }
    return next;
  });
  finishBlock(panel, row, rows, sums);
}

void ProductEmitter::finishBlock(const Panel &panel, Value row, int64_t rows, ArrayRef<Value> sums) {
  int64_t count = vectors(panel);
  auto finish = [&](Value at, int64_t j, Value sum) {
    (isLast ? p.finish : p.keep)(at, e.add(panel.start, e.i64(j * width)), lanes(panel, j),
                                 e.firstLanes(sum, lanes(panel, j)));
  };
  if (!p.longFinish || !isLast) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < count; ++j)
        finish(e.add(row, e.i64(i)), j, sums[i * count + j]);
    return;
  }
  for (auto [n, sum] : llvm::enumerate(sums))
    e.store(sum, tile, p.type, e.i64(n * width));
  e.loop(0, rows, 1, [&](Value i) {
    for (int64_t j = 0; j < count; ++j) {
      Value at = e.add(e.mul(i, count * width), e.i64(j * width));
      finish(e.add(row, i), j, e.load(tile, p.type, at, width));
    }
  });
}

void ProductEmitter::rowBlocks(const Panel &panel, Value first, int64_t rows) {
  int64_t step = std::min(rows, e.target.blockRows(vectors(panel)));
  if (p.rowCount)
    return e.loop(first, p.rowCount, step, [&](Value row) { block(panel, row, step); });
  int64_t whole = rows / step * step;
  e.loop(first, e.add(first, e.i64(whole)), step, [&](Value row) { block(panel, row, step); });
  if (whole < rows)
    block(panel, e.add(first, e.i64(whole)), rows - whole);
}

void ProductEmitter::panels(Value first, int64_t rows) {
  auto one = [&](const Panel &panel) {
    if (p.preparePanel)
      p.preparePanel(panel.number, panel.start, panel.columns);
    rowBlocks(panel, first, rows);
  };
  int64_t whole = p.columns / p.panel;
  e.loop(0, whole, 1, [&](Value number) { one({number, e.mul(number, p.panel), p.panel}); });
  if (whole * p.panel < p.columns)
    one({e.i64(whole), e.i64(whole * p.panel), p.columns - whole * p.panel});
}

/// The most rows of a left matrix of `depth` columns that stay in the cache while all panels pass.
int64_t ProductEmitter::mostRows(int64_t depth) const {
  int64_t step = e.target.blockRows(p.panel / width), rowBytes = depth * elementBytes(p.type);
  return std::max<int64_t>(1, kCachedBytes / rowBytes / step) * step;
}

/// Sums over `depth` from `begin`, for all rows and columns: in blocks of rows of about equal size, each of which reads the whole right matrix.
void ProductEmitter::part(Value begin, int64_t depth, bool first, bool last) {
  from = begin;
  to = e.add(begin, e.i64(depth));
  isFirst = first;
  isLast = last;
  int64_t blocks = p.rowCount ? 1 : llvm::divideCeil(p.rows, mostRows(depth));
  if (blocks == 1)
    return panels(e.i64(0), p.rows);
  int64_t block = llvm::alignTo(llvm::divideCeil(p.rows, blocks), e.target.blockRows(p.panel / width));
  int64_t whole = p.rows / block * block;
  e.loop(0, whole, block, [&](Value row) { panels(row, block); });
  if (whole < p.rows)
    panels(e.i64(whole), p.rows - whole);
}

/// Where not all rows stay in the cache, the depth is cut first.
void ProductEmitter::all() {
  bool isCut = p.keep && !p.rowCount && p.rows > mostRows(p.depth);
  int64_t parts = isCut ? std::max<int64_t>(1, (p.depth + kPartDepth / 2) / kPartDepth) : 1;
  if (parts == 1)
    return part(e.i64(0), p.depth, true, true);
  int64_t depth = p.depth / parts, begin = depth * (parts - 1);
  part(e.i64(0), depth, true, false);
  e.loop(depth, begin, depth, [&](Value at) { part(at, depth, false, false); });
  part(e.i64(begin), p.depth - begin, false, true);
}

void mpopt::codegen::emitProduct(Emitter &e, const Product &product) {
  ProductEmitter emitter(e, product);
  if (product.longFinish)
    emitter.tile = e.stack(product.type, 32 * e.target.vectorWidth());
  emitter.all();
}
