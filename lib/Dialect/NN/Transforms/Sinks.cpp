#include "Sinks.h"
#include "Leads.h"

using namespace mlir;
using namespace mpopt::nn;

std::optional<Sunk> mpopt::nn::matchSink(Value softmaxInput) {
  // Softmax does not mind the row's largest score that is taken off first.
  if (auto sub = softmaxInput.getDefiningOp<SubOp>()) {
    auto max = sub.getRhs().getDefiningOp<ReduceOp>();
    if (max && max.getKind() == ReduceKind::Max && max.getKeepDims() && max.getInput() == sub.getLhs() &&
        max.getAxes() == ArrayRef<int64_t>{rankOf(sub.getLhs()) - 1})
      softmaxInput = sub.getLhs();
  }
  auto concat = softmaxInput.getDefiningOp<ConcatOp>();
  if (!concat || concat.getInputs().size() != 2 || static_cast<int64_t>(concat.getAxis()) != rankOf(softmaxInput) - 1 ||
      shapeOf(concat.getInputs()[1]).back() != 1)
    return std::nullopt;
  Value sink = concat.getInputs()[1];
  if (auto broadcast = sink.getDefiningOp<BroadcastOp>())
    sink = broadcast.getInput();
  return Sunk{concat.getInputs()[0], sink};
}

SoftmaxOp mpopt::nn::matchSinkWeightsDropped(Value value) {
  auto slice = value.getDefiningOp<SliceOp>();
  if (!slice || rankOf(value) == 0 || !slice->hasOneUse())
    return nullptr;
  ArrayRef<int64_t> from = shapeOf(slice.getInput()), to = shapeOf(value);
  bool dropsLast = llvm::all_of(slice.getStarts(), [](int64_t start) { return start == 0; }) &&
                   llvm::all_of(slice.getSteps(), [](int64_t step) { return step == 1; }) &&
                   from.drop_back() == to.drop_back() && from.back() == to.back() + 1;
  return dropsLast ? slice.getInput().getDefiningOp<SoftmaxOp>() : nullptr;
}

Value mpopt::nn::appendZeroKey(Value value, PatternRewriter &rewriter) {
  return PadOp::create(rewriter, value.getLoc(), value, ArrayRef<int64_t>{0, 0, 0, 0}, ArrayRef<int64_t>{0, 0, 1, 0},
                       APFloat(0.0));
}

Value mpopt::nn::appendSink(Value mask, Value sink, int64_t keys, PatternRewriter &rewriter) {
  if (!mask) {
    auto type = RankedTensorType::get({1, 1, 1, keys}, elementOf(sink));
    auto zero = DenseElementsAttr::get(type, Attribute(rewriter.getFloatAttr(elementOf(sink), 0)));
    mask = ConstantOp::create(rewriter, sink.getLoc(), type, zero);
  }
  auto whole = broadcastShapes(shapeOf(mask), shapeOf(sink));
  SmallVector<int64_t> shape(4 - whole->size(), 1);
  llvm::append_range(shape, *whole);
  auto spread = [&](Value value, int64_t columns) {
    shape.back() = columns;
    return rewriter.createOrFold<BroadcastOp>(value.getLoc(), RankedTensorType::get(shape, elementOf(value)), value);
  };
  Value columns = spread(mask, keys);
  return ConcatOp::create(rewriter, sink.getLoc(), ValueRange{columns, spread(sink, 1)}, rewriter.getI64IntegerAttr(3));
}
