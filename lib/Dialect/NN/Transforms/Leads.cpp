#include "Leads.h"

using namespace mlir;
using namespace mpopt::nn;

Value mpopt::nn::withShape(Value value, ArrayRef<int64_t> shape, PatternRewriter &rewriter) {
  return rewriter.createOrFold<ReshapeOp>(value.getLoc(), RankedTensorType::get(shape, elementOf(value)), value);
}

Value mpopt::nn::withLead(Value value, ArrayRef<int64_t> lead, PatternRewriter &rewriter) {
  SmallVector<int64_t> shape(lead);
  llvm::append_range(shape, shapeOf(value).take_back(2));
  return withShape(value, shape, rewriter);
}

Value mpopt::nn::adaptMask(Value mask, ArrayRef<int64_t> from, ArrayRef<int64_t> to, PatternRewriter &rewriter) {
  if (from == to)
    return mask;
  SmallVector<int64_t> shape(from.size() + 2 - rankOf(mask), 1), wide, result;
  llvm::append_range(shape, shapeOf(mask));
  // Runs of dimensions with equal products; what the mask has of one it has whole, or not at all.
  for (size_t i = 0, j = 0; i < from.size() || j < to.size();) {
    size_t firstI = i, firstJ = j;
    int64_t productI = i < from.size() ? from[i++] : 1, productJ = j < to.size() ? to[j++] : 1;
    while (productI != productJ)
      (productI < productJ ? productI : productJ) *= productI < productJ ? from[i++] : to[j++];
    bool has = llvm::any_of(ArrayRef(shape).slice(firstI, i - firstI), [](int64_t size) { return size != 1; });
    llvm::append_range(wide, has ? Lead(from.slice(firstI, i - firstI)) : Lead(i - firstI, 1));
    llvm::append_range(result, has ? Lead(to.slice(firstJ, j - firstJ)) : Lead(j - firstJ, 1));
  }
  llvm::append_range(wide, ArrayRef(shape).take_back(2));
  auto type = RankedTensorType::get(wide, elementOf(mask));
  Value whole = rewriter.createOrFold<BroadcastOp>(mask.getLoc(), type, withShape(mask, shape, rewriter));
  return withLead(whole, result, rewriter);
}

Value mpopt::nn::matchLeadReshape(Value value) {
  auto reshape = value.getDefiningOp<ReshapeOp>();
  if (!reshape || rankOf(value) < 3 || rankOf(reshape.getInput()) < 3 || llvm::is_contained(shapeOf(value), 0))
    return nullptr;
  bool keeps = shapeOf(value).take_back(2) == shapeOf(reshape.getInput()).take_back(2);
  return keeps ? reshape.getInput() : nullptr;
}
