// Convolution as a matrix product on register blocks: rows are neighbouring outputs of a line, columns the output channels of a
// panel, and the depth runs over taps and input channels.
#include "Lower.h"
#include "Windows.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

namespace {

/// Bytes of the input that stay in the cache while all panels of weights pass.
constexpr int64_t kInputBlockBytes = 512 << 10;

class ConvEmitter {
public:
  ConvEmitter(Kernel &kernel, nn::PackedConvOp op, View input, View packed)
      : kernel(kernel), e(kernel.e), op(op), w(Windows::of(op, packedKernel(op))), input(std::move(input)),
        packed(std::move(packed)), type(registerType(this->input.element)), width(e.target.vectorWidth()) {
    ArrayRef<int64_t> shape = this->packed.shape;
    groups = shape.front();
    panel = shape.back();
    depth = shape[shape.size() - 2];
    perGroup = int64_t(op.getChannels()) / groups;
    if (isLong = hasLongEpilogue(op); isLong)
      tile = e.stack(type, 32 * width);
  }

  void emit() {
    e.loop(0, groups, 1, [&](Value group) {
      int64_t lines = lineCount(), block = linesPerBlock(), whole = lines / block * block;
      e.loop(0, whole, block, [&](Value from) { panels(group, from, block); });
      if (whole < lines)
        panels(group, e.i64(whole), lines - whole);
    });
  }

private:
  struct Panel {
    Value group, number, channel; ///< channel: the first one
    int64_t columns;
  };

  static ArrayRef<int64_t> packedKernel(nn::PackedConvOp op) {
    return tensorType(op.getPacked()).getShape().drop_front(2).drop_back(2);
  }

  /// Lines of outputs along the last spatial dimension.
  int64_t lineCount() {
    int64_t lines = tensorType(op.getResult()).getDimSize(0);
    for (int64_t size : ArrayRef(w.output).drop_back())
      lines *= size;
    return lines;
  }

  int64_t linesPerBlock() {
    int64_t bytes = w.input.back() * depth * elementBytes(type);
    for (size_t d = 0; d < w.last(); ++d)
      bytes *= w.strides[d];
    int64_t block = std::max<int64_t>(1, kInputBlockBytes / bytes);
    return lineCount() <= 2 * block ? lineCount() : block;
  }

  void panels(Value group, Value from, int64_t lines) {
    auto one = [&](Value number, int64_t columns) {
      Value channel = e.add(e.mul(group, perGroup), e.mul(number, panel));
      int64_t vectors = llvm::divideCeil(columns, width);
      SmallVector<RowBlock> blocks = rowBlocks(w, e.target.convRows(vectors));
      e.loop(from, e.add(from, e.i64(lines)), 1, [&](Value line) {
        SmallVector<Value> index = lineIndex(line);
        forEachBlock(e, blocks, [&](Value start, const RowBlock &block) {
          emitBlock({group, number, channel, columns}, index, start, block);
        });
      });
    };
    int64_t whole = perGroup / panel;
    e.loop(0, whole, 1, [&](Value number) { one(number, panel); });
    if (whole * panel < perGroup)
      one(e.i64(whole), perGroup - whole * panel);
  }

  /// Batch index and outputs of all spatial dimensions but the last.
  SmallVector<Value> lineIndex(Value line) {
    SmallVector<int64_t> shape{tensorType(op.getResult()).getDimSize(0)};
    llvm::append_range(shape, ArrayRef(w.output).drop_back());
    return delinearize(e, line, shape);
  }

  Value inputLine(ArrayRef<Value> line, const Panel &at, Value start, ArrayRef<Value> positions) {
    Value offset = e.add(e.i64(input.offset), e.mul(line[0], input.strides[0]));
    for (auto [position, stride] : llvm::zip_equal(positions, ArrayRef(input.strides).slice(1, positions.size())))
      offset = e.add(offset, e.mul(position, stride));
    Value first = e.sub(e.mul(start, w.strides.back()), e.i64(w.begin.back()));
    offset = e.add(offset, e.mul(first, input.strides[w.last() + 1]));
    return e.add(offset, e.mul(at.group, depth * input.strides.back()));
  }

  Value packedLine(const Panel &at, ArrayRef<Value> taps) {
    Value offset = e.add(e.mul(at.group, packed.strides[0]), e.mul(at.number, packed.strides[1]));
    for (auto [d, tap] : llvm::enumerate(taps))
      offset = e.add(offset, e.mul(tap, packed.strides[2 + d]));
    return offset;
  }

  void emitBlock(const Panel &at, ArrayRef<Value> line, Value start, const RowBlock &block) {
    int64_t vectors = llvm::divideCeil(at.columns, width);
    SmallVector<Value> zeros(block.rows * vectors, e.constant(VectorType::get({width}, type), 0));
    SmallVector<Value> sums = overOuterTaps(
        e, w, line.drop_front(), zeros, [&](ArrayRef<Value> taps, ArrayRef<Value> positions, ValueRange carried) {
          Value left = e.moved(input.pointer, input.element, inputLine(line, at, start, positions));
          Value right = e.moved(packed.pointer, packed.element, packedLine(at, taps));
          SmallVector<Value> next(carried);
          for (const Segment &segment : block.segments)
            emitSegment(segment, left, right, vectors, next);
          return next;
        });
    finish(at, line, start, block.rows, vectors, sums);
  }

  /// Adds the products of some taps of the last dimension to the sums of the rows that they reach.
  void emitSegment(const Segment &s, Value left, Value right, int64_t vectors, SmallVector<Value> &sums) {
    MutableArrayRef<Value> own = MutableArrayRef(sums).slice(s.firstRow * vectors, (s.endRow - s.firstRow) * vectors);
    int64_t column = input.strides[w.last() + 1], channel = input.strides.back();
    int64_t rowStep = w.strides.back() * column, tapStep = w.dilations.back() * column;
    auto step = [&](Value leftIndex, Value rightIndex, ValueRange carried) {
      SmallVector<Value> columns, next;
      for (int64_t j = 0; j < vectors; ++j)
        columns.push_back(e.load(right, packed.element, e.add(rightIndex, e.i64(j * width)), width));
      for (int64_t row = s.firstRow; row < s.endRow; ++row) {
        Value x = e.splat(e.load(left, input.element, e.add(leftIndex, e.i64(row * rowStep)), 1), width);
        for (int64_t j = 0; j < vectors; ++j)
          next.push_back(e.fma(x, columns[j], carried[next.size()]));
      }
      return next;
    };
    SmallVector<Value> result;
    if (tapStep == depth * channel) {
      // Taps follow each other as channels do: one loop over both.
      result = e.loop(s.from * depth, s.to * depth, 1, own,
                      [&](Value k, ValueRange carried) { return step(e.mul(k, channel), e.mul(k, panel), carried); });
    } else {
      result = e.loop(s.from, s.to, 1, own, [&](Value tap, ValueRange outer) {
        Value leftTap = e.mul(tap, tapStep), rightTap = e.mul(tap, depth * panel);
        if (depth > 4)
          return e.loop(0, depth, 1, outer, [&](Value k, ValueRange carried) {
            return step(e.add(leftTap, e.mul(k, channel)), e.add(rightTap, e.mul(k, panel)), carried);
          });
        SmallVector<Value> next(outer);
        for (int64_t k = 0; k < depth; ++k)
          next = step(e.add(leftTap, e.i64(k * channel)), e.add(rightTap, e.i64(k * panel)), next);
        return next;
      });
    }
    llvm::copy(result, own.begin());
  }

  void finish(const Panel &at, ArrayRef<Value> line, Value start, int64_t rows, int64_t vectors, ArrayRef<Value> sums) {
    auto write = [&](Value row, int64_t j, Value sum) {
      int64_t lanes = std::min(width, at.columns - j * width);
      SmallVector<Value> index(line);
      index.append({e.add(start, row), e.add(at.channel, e.i64(j * width))});
      kernel.write(op.getResult(), Place::run(index, lanes), e.firstLanes(sum, lanes));
    };
    if (!isLong) {
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t j = 0; j < vectors; ++j)
          write(e.i64(row), j, sums[row * vectors + j]);
      return;
    }
    for (auto [n, sum] : llvm::enumerate(sums))
      e.store(sum, tile, type, e.i64(n * width));
    e.loop(0, rows, 1, [&](Value row) {
      for (int64_t j = 0; j < vectors; ++j)
        write(row, j, e.load(tile, type, e.add(e.mul(row, vectors * width), e.i64(j * width)), width));
    });
  }

  Kernel &kernel;
  Emitter &e;
  nn::PackedConvOp op;
  Windows w;
  View input, packed;
  Type type;
  int64_t width, groups, panel, depth, perGroup;
  bool isLong;
  Value tile; // stack memory for long epilogues
};

/// What reads windows channel by channel: neighbouring outputs of a line times one vector of channels in registers.
class ChannelwiseEmitter {
public:
  ChannelwiseEmitter(Kernel &kernel, Value result, Windows windows, View input)
      : kernel(kernel), e(kernel.e), result(result), w(std::move(windows)), input(std::move(input)),
        shape(tensorType(result).getShape()) {}

  /// What a value starts from.
  std::function<Value(int64_t lanes)> start;
  /// Combines a row's value with an input. `tap` is what prepareTap() gave.
  std::function<Value(Value tap, Value value, Value input)> combine;
  /// What all rows share of a tap; may be empty.
  std::function<Value(ArrayRef<Value> taps, Value channel, int64_t lanes)> prepareTap;
  /// The result from what was combined over `line` (batch and outer spatial outputs) for a row with `taps` taps in the last dimension.
  std::function<Value(Value value, ArrayRef<Value> line, int64_t taps)> finish;

  /// Outputs of a line that are computed together.
  int64_t mostRows = 2;

  void emit() {
    SmallVector<RowBlock> blocks = rowBlocks(w, mostRows);
    e.nest(shape.drop_back(2), [&](ArrayRef<Value> line) {
      forEachBlock(e, blocks, [&](Value first, const RowBlock &block) {
        e.chunks(shape.back(), [&](Value channel, int64_t lanes) { emitBlock(line, first, block, channel, lanes); });
      });
    });
  }

private:
  Value read(ArrayRef<Value> index, Value channel, int64_t lanes) {
    SmallVector<Value> full(index);
    full.push_back(channel);
    return e.splat(kernel.ev.load(input, Place::run(full, lanes)), lanes);
  }

  void emitBlock(ArrayRef<Value> line, Value first, const RowBlock &block, Value channel, int64_t lanes) {
    SmallVector<Value> values(block.rows, start(lanes));
    values = overOuterTaps(e, w, line.drop_front(), values,
                           [&](ArrayRef<Value> taps, ArrayRef<Value> positions, ValueRange carried) {
                             SmallVector<Value> next(carried), index{line[0]};
                             llvm::append_range(index, positions);
                             for (const Segment &segment : block.segments)
                               emitSegment(segment, taps, index, first, channel, lanes, next);
                             return next;
                           });
    SmallVector<int64_t> tapsOf(block.rows, 0);
    for (const Segment &segment : block.segments)
      for (int64_t row = segment.firstRow; row < segment.endRow; ++row)
        tapsOf[row] += segment.to - segment.from;
    for (int64_t row = 0; row < block.rows; ++row) {
      SmallVector<Value> index(line);
      index.append({e.add(first, e.i64(row)), channel});
      Value value = finish ? finish(values[row], line, tapsOf[row]) : values[row];
      kernel.write(result, Place::run(index, lanes), value);
    }
  }

  void emitSegment(const Segment &s, ArrayRef<Value> outerTaps, ArrayRef<Value> outerIndex, Value first, Value channel,
                   int64_t lanes, SmallVector<Value> &values) {
    auto step = [&](Value tap, SmallVector<Value> &all) {
      SmallVector<Value> taps(outerTaps), index(outerIndex);
      taps.push_back(tap);
      Value shared = prepareTap ? prepareTap(taps, channel, lanes) : Value();
      index.emplace_back();
      Value base = e.sub(e.add(e.mul(first, w.strides.back()), e.mul(tap, w.dilations.back())), e.i64(w.begin.back()));
      for (int64_t row = s.firstRow; row < s.endRow; ++row) {
        index.back() = e.add(base, e.i64(row * w.strides.back()));
        all[row] = combine(shared, all[row], read(index, channel, lanes));
      }
    };
    constexpr int64_t mostUnrolled = 8;
    if (s.to - s.from <= mostUnrolled) {
      for (int64_t tap = s.from; tap < s.to; ++tap)
        step(e.i64(tap), values);
      return;
    }
    values = e.loop(s.from, s.to, 1, values, [&](Value tap, ValueRange carried) {
      SmallVector<Value> next(carried);
      step(tap, next);
      return next;
    });
  }

  Kernel &kernel;
  Emitter &e;
  Value result;
  Windows w;
  View input;
  ArrayRef<int64_t> shape;
};

} // namespace

LogicalResult mpopt::codegen::lowerPackedConv(Kernel &kernel, nn::PackedConvOp op) {
  std::optional<View> input = kernel.ev.viewOf(op.getInput()), packed = kernel.ev.viewOf(op.getPacked());
  if (!input || !packed)
    return op.emitOpError("needs operands that lie in memory");
  int64_t panel = packed->shape.back(), width = kernel.e.target.vectorWidth();
  if (panel % width || panel > kMostConvVectors * width)
    return op.emitOpError("panel width ") << panel << " does not suit " << kernel.e.target.cpu;
  ConvEmitter(kernel, op, *input, *packed).emit();
  return success();
}

LogicalResult mpopt::codegen::lowerDepthwiseConv(Kernel &kernel, nn::DepthwiseConvOp op) {
  std::optional<View> input = kernel.ev.viewOf(op.getInput()), weight = kernel.ev.viewOf(op.getWeight());
  if (!input || !weight)
    return op.emitOpError("needs operands that lie in memory");
  Emitter &e = kernel.e;
  Type type = registerType(input->element);
  ChannelwiseEmitter emitter(kernel, op.getResult(), Windows::of(op, ArrayRef(weight->shape).drop_back()), *input);
  emitter.start = [&](int64_t lanes) { return e.splat(e.constant(type, 0), lanes); };
  emitter.prepareTap = [&](ArrayRef<Value> taps, Value channel, int64_t lanes) {
    SmallVector<Value> index(taps);
    index.push_back(channel);
    return e.splat(kernel.ev.load(*weight, Place::run(index, lanes)), lanes);
  };
  emitter.combine = [&](Value tap, Value sum, Value x) { return e.fma(x, tap, sum); };
  // As many as registers allow share a tap's weights. Pools share nothing, and better read what lies side by side.
  emitter.mostRows = e.target.hasAvx512() ? 8 : 4;
  emitter.emit();
  return success();
}

LogicalResult mpopt::codegen::lowerPool(Kernel &kernel, nn::MaxPoolOp op) {
  std::optional<View> input = kernel.ev.viewOf(op.getInput());
  if (!input || !op.getChannelsLast())
    return op.emitOpError("needs an operand with channels last that lies in memory");
  Emitter &e = kernel.e;
  Type element = input->element;
  ChannelwiseEmitter emitter(kernel, op.getResult(), Windows::of(op, op.getKernel()), *input);
  emitter.start = [&](int64_t lanes) { return e.splat(neutral(e, nn::ReduceKind::Max, element), lanes); };
  emitter.combine = [&](Value, Value most, Value x) {
    return mpopt::codegen::combine(e, nn::ReduceKind::Max, element, most, x);
  };
  emitter.emit();
  return success();
}

LogicalResult mpopt::codegen::lowerPool(Kernel &kernel, nn::AvgPoolOp op) {
  std::optional<View> input = kernel.ev.viewOf(op.getInput());
  if (!input || !op.getChannelsLast())
    return op.emitOpError("needs an operand with channels last that lies in memory");
  Emitter &e = kernel.e;
  Type type = registerType(input->element);
  Windows windows = Windows::of(op, op.getKernel());
  ChannelwiseEmitter emitter(kernel, op.getResult(), windows, *input);
  emitter.start = [&](int64_t lanes) { return e.splat(e.constant(type, 0), lanes); };
  emitter.combine = [&](Value, Value sum, Value x) -> Value { return arith::AddFOp::create(e.b, e.loc, sum, x); };
  emitter.finish = [&](Value sum, ArrayRef<Value> line, int64_t taps) -> Value {
    Value count = e.i64(op.getCountIncludePad() ? windows.kernel.back() : taps);
    for (size_t d = 0; d < windows.last(); ++d) {
      auto [from, to] = tapBounds(e, windows, d, line[d + 1]);
      Value real = op.getCountIncludePad() ? e.i64(windows.kernel[d]) : e.sub(to, from);
      count = arith::MulIOp::create(e.b, e.loc, count, real);
    }
    Value divisor = arith::SIToFPOp::create(e.b, e.loc, type, count);
    auto vector = dyn_cast<VectorType>(sum.getType());
    return arith::DivFOp::create(e.b, e.loc, sum, vector ? e.splat(divisor, vector.getNumElements()) : divisor);
  };
  emitter.emit();
  return success();
}
