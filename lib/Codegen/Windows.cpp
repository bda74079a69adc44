#include "Windows.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

static SmallVector<Segment> segmentsOf(const Windows &w, int64_t start, int64_t rows) {
  size_t d = w.last();
  SmallVector<Segment> segments;
  for (int64_t tap = 0; tap < w.kernel[d]; ++tap) {
    auto isReal = [&](int64_t row) {
      int64_t at = (start + row) * w.strides[d] - w.begin[d] + tap * w.dilations[d];
      return at >= 0 && at < w.input[d];
    };
    int64_t first = 0, end = rows;
    while (first < rows && !isReal(first))
      ++first;
    while (end > first && !isReal(end - 1))
      --end;
    if (first == end)
      continue;
    if (!segments.empty() && segments.back().to == tap && segments.back().firstRow == first &&
        segments.back().endRow == end)
      ++segments.back().to;
    else
      segments.push_back({tap, tap + 1, first, end});
  }
  return segments;
}

SmallVector<RowBlock> mpopt::codegen::rowBlocks(const Windows &w, int64_t mostRows) {
  int64_t length = w.output[w.last()], count = llvm::divideCeil(length, mostRows);
  auto isWhole = [&](const RowBlock &block) {
    return block.segments.size() == 1 && block.segments[0].to - block.segments[0].from == w.kernel[w.last()] &&
           block.segments[0].endRow - block.segments[0].firstRow == block.rows;
  };
  SmallVector<RowBlock> blocks;
  for (int64_t i = 0, start = 0; i < count; ++i) {
    int64_t rows = length / count + (i < length % count);
    RowBlock block{start, rows, 1, segmentsOf(w, start, rows)};
    if (!blocks.empty() && blocks.back().rows == rows && isWhole(blocks.back()) && isWhole(block))
      ++blocks.back().count;
    else
      blocks.push_back(std::move(block));
    start += rows;
  }
  return blocks;
}

void mpopt::codegen::forEachBlock(Emitter &e, ArrayRef<RowBlock> blocks,
                                  const std::function<void(Value, const RowBlock &)> &body) {
  for (const RowBlock &block : blocks)
    e.loop(block.start, block.start + block.rows * block.count, block.rows, [&](Value start) { body(start, block); });
}

std::pair<Value, Value> mpopt::codegen::tapBounds(Emitter &e, const Windows &w, size_t d, Value at) {
  int64_t taps = w.kernel[d], stride = w.strides[d], dilation = w.dilations[d], begin = w.begin[d];
  int64_t furthest = (w.output[d] - 1) * stride - begin + (taps - 1) * dilation;
  auto tapsBefore = [&](Value distance) {
    return e.div(e.add(e.maximum(distance, e.i64(0)), e.i64(dilation - 1)), dilation);
  };
  Value from = begin > 0 ? e.minimum(tapsBefore(e.sub(e.i64(begin), e.mul(at, stride))), e.i64(taps)) : e.i64(0);
  Value to = furthest >= w.input[d]
                 ? e.minimum(tapsBefore(e.sub(e.i64(w.input[d] + begin), e.mul(at, stride))), e.i64(taps))
                 : e.i64(taps);
  return {from, to};
}

SmallVector<Value> mpopt::codegen::overOuterTaps(
    Emitter &e, const Windows &w, ArrayRef<Value> line, ValueRange carried,
    const std::function<SmallVector<Value>(ArrayRef<Value>, ArrayRef<Value>, ValueRange)> &body) {
  SmallVector<Value> taps, positions;
  std::function<SmallVector<Value>(size_t, ValueRange)> enter = [&](size_t d, ValueRange values) -> SmallVector<Value> {
    if (d == w.last())
      return body(taps, positions, values);
    auto [from, to] = tapBounds(e, w, d, line[d]);
    Value start = e.sub(e.mul(line[d], w.strides[d]), e.i64(w.begin[d]));
    return e.loop(from, to, 1, values, [&](Value tap, ValueRange inner) {
      taps.push_back(tap);
      positions.push_back(e.add(start, e.mul(tap, w.dilations[d])));
      SmallVector<Value> result = enter(d + 1, inner);
      taps.pop_back();
      positions.pop_back();
      return result;
    });
  };
  return enter(0, carried);
}
