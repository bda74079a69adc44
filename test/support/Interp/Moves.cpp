// Operators that move elements.
#include "Evaluators.h"
#include "Reduce.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

namespace {

/// result[index] = input[source(index)].
template <typename F> void move(const Tensor &input, Tensor &out, F source) {
  forEachIndex(out.shape, [&](ArrayRef<int64_t> index, int64_t i) { out.copy(i, input, input.at(source(index))); });
}

void reshape(nn::ReshapeOp, Operands in, Results out) {
  for (int64_t i = 0; i < out[0].size(); ++i)
    out[0].copy(i, *in[0], i);
}

void transpose(nn::TransposeOp op, Operands in, Results out) {
  move(*in[0], out[0], [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> source(index.size());
    for (auto [i, dim] : llvm::enumerate(op.getPermutation()))
      source[dim] = index[i];
    return source;
  });
}

void broadcast(nn::BroadcastOp, Operands in, Results out) {
  forEachIndex(out[0].shape,
               [&](ArrayRef<int64_t> index, int64_t i) { out[0].copy(i, *in[0], in[0]->atBroadcast(index)); });
}

void slice(nn::SliceOp op, Operands in, Results out) {
  move(*in[0], out[0], [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> source;
    for (auto [i, start, step] : llvm::zip(index, op.getStarts(), op.getSteps()))
      source.push_back(start + i * step);
    return source;
  });
}

void sliceAt(nn::SliceAtOp op, Operands in, Results out) {
  int64_t axis = op.getAxis(), start = in[1]->ints[0];
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> source(index);
    source[axis] += start;
    if (source[axis] >= 0 && source[axis] < in[0]->shape[axis])
      out[0].copy(i, *in[0], in[0]->at(source));
  });
}

void concat(nn::ConcatOp op, Operands in, Results out) {
  int64_t axis = op.getAxis(), before = 0;
  for (const Tensor *input : in) {
    forEachIndex(input->shape, [&](ArrayRef<int64_t> index, int64_t i) {
      SmallVector<int64_t> target(index);
      target[axis] += before;
      out[0].copy(out[0].at(target), *input, i);
    });
    before += input->shape[axis];
  }
}

void pad(nn::PadOp op, Operands in, Results out) {
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> source;
    bool inside = true;
    for (auto [at, low, size] : llvm::zip(index, op.getLow(), in[0]->shape)) {
      source.push_back(at - low);
      inside &= source.back() >= 0 && source.back() < size;
    }
    if (inside)
      out[0].copy(i, *in[0], in[0]->at(source));
    else
      out[0].setNumber(i, op.getValue().convertToDouble());
  });
}

/// Copies input[source], or poison where an index (garbage in padding, say) leaves the input.
void copyOrPoison(Tensor &out, int64_t i, const Tensor &input, ArrayRef<int64_t> source) {
  bool inside = true;
  for (auto [at, size] : llvm::zip(source, input.shape))
    inside &= at >= 0 && at < size;
  if (inside)
    out.copy(i, input, input.at(source));
  else
    out.poison(i);
}

int64_t wrapIndex(int64_t index, int64_t size) { return index < 0 ? index + size : index; }

void gather(nn::GatherOp op, Operands in, Results out) {
  size_t axis = op.getAxis(), rank = in[1]->shape.size();
  int64_t size = in[0]->shape[axis];
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    int64_t at = in[1]->ints[in[1]->at(index.slice(axis, rank))];
    SmallVector<int64_t> source(index.take_front(axis));
    source.push_back(op.getOffset() ? at - in[2]->ints[0] : wrapIndex(at, size));
    llvm::append_range(source, index.drop_front(axis + rank));
    if (!op.getOffset() || (source[axis] >= 0 && source[axis] < size))
      copyOrPoison(out[0], i, *in[0], source);
  });
}

void gatherElements(nn::GatherElementsOp op, Operands in, Results out) {
  int64_t axis = op.getAxis();
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> source(index);
    source[axis] = wrapIndex(in[1]->ints[i], in[0]->shape[axis]);
    copyOrPoison(out[0], i, *in[0], source);
  });
}

/// The index that row `row` of an ONNX index tensor names, after `lead` dimensions that are given.
SmallVector<int64_t> readIndex(const Tensor &input, const Tensor &indices, ArrayRef<int64_t> row,
                               ArrayRef<int64_t> lead) {
  SmallVector<int64_t> source(lead), at(row);
  at.push_back(0);
  for (int64_t k = 0; k < indices.shape.back(); ++k) {
    at.back() = k;
    source.push_back(wrapIndex(indices.ints[indices.at(at)], input.shape[source.size()]));
  }
  return source;
}

void gatherNd(nn::GatherNdOp op, Operands in, Results out) {
  size_t rows = in[1]->shape.size() - 1;
  forEachIndex(out[0].shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> source =
        readIndex(*in[0], *in[1], index.take_front(rows), index.take_front(op.getBatchDims()));
    llvm::append_range(source, index.drop_front(rows));
    copyOrPoison(out[0], i, *in[0], source);
  });
}

void scatterNd(nn::ScatterNdOp op, Operands in, Results out) {
  out[0] = *in[0];
  size_t rows = in[1]->shape.size() - 1;
  forEachIndex(in[2]->shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> target = readIndex(*in[0], *in[1], index.take_front(rows), {});
    llvm::append_range(target, index.drop_front(rows));
    for (auto [at, size] : llvm::zip(target, in[0]->shape))
      if (at < 0 || at >= size)
        return;
    if (std::optional<nn::ReduceKind> kind = op.getReduction())
      reduceInto(static_cast<shd::ReduceKind>(*kind), out[0], out[0].at(target), *in[2], i);
    else
      out[0].copy(out[0].at(target), *in[2], i);
  });
}

} // namespace

void mpopt::interp::addMoves(Evaluators &to) {
  to.add<nn::ReshapeOp>(reshape);
  to.add<nn::TransposeOp>(transpose);
  to.add<nn::BroadcastOp>(broadcast);
  to.add<nn::SliceOp>(slice);
  to.add<nn::SliceAtOp>(sliceAt);
  to.add<nn::ConcatOp>(concat);
  to.add<nn::PadOp>(pad);
  to.add<nn::GatherOp>(gather);
  to.add<nn::GatherElementsOp>(gatherElements);
  to.add<nn::GatherNdOp>(gatherNd);
  to.add<nn::ScatterNdOp>(scatterNd);
}
