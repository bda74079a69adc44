#include "LayOutImages.h"
#include "ConvForms.h"
#include "Evaluator.h"
#include "mpopt/Dialect/Coll/Coll.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

namespace {

/// Dimension i of a value in this order is dimension order[i] of the original.
using Order = SmallVector<int64_t>;

ArrayRef<int64_t> shapeOf(Value value) { return tensorType(value).getShape(); }

bool isIdentity(ArrayRef<int64_t> order) { return llvm::equal(order, llvm::seq<int64_t>(0, order.size())); }

SmallVector<int64_t> permuted(ArrayRef<int64_t> values, ArrayRef<int64_t> order) {
  return llvm::map_to_vector(order, [&](int64_t from) { return values[from]; });
}

Order inverse(ArrayRef<int64_t> order) {
  Order result(order.size());
  for (auto [i, from] : llvm::enumerate(order))
    result[from] = i;
  return result;
}

Order channelsLast(int64_t rank) {
  Order order{0};
  for (int64_t d = 2; d < rank; ++d)
    order.push_back(d);
  order.push_back(1);
  return order;
}

/// One part of a reshape: dimensions of the input and of the result with the same elements. Dimensions of size 1 are in no part.
struct Part {
  SmallVector<int64_t> from, to;
};

std::vector<Part> partsOf(ArrayRef<int64_t> from, ArrayRef<int64_t> to) {
  std::vector<Part> parts;
  size_t i = 0, j = 0;
  while (true) {
    while (i < from.size() && from[i] == 1)
      ++i;
    while (j < to.size() && to[j] == 1)
      ++j;
    if (i == from.size() || j == to.size())
      return parts;
    Part part{{int64_t(i)}, {int64_t(j)}};
    int64_t left = from[i++], right = to[j++];
    while (left != right) {
      if (left < right && i < from.size()) {
        part.from.push_back(i);
        left *= from[i++];
      } else if (right < left && j < to.size()) {
        part.to.push_back(j);
        right *= to[j++];
      } else {
        return {};
      }
    }
    llvm::erase_if(part.from, [&](int64_t d) { return from[d] == 1; });
    llvm::erase_if(part.to, [&](int64_t d) { return to[d] == 1; });
    parts.push_back(part);
  }
}

class ImageLayout {
public:
  ImageLayout(func::FuncOp main, const CpuTarget &target) : main(main), target(target), b(main.getContext()) {}

  void run() {
    for (Operation &op : llvm::make_early_inc_range(main.getBody().front().without_terminator())) {
      b.setInsertionPoint(&op);
      loc = op.getLoc();
      layOut(&op);
    }
  }

private:
  /// The new form of a value.
  struct Laid {
    Value value;
    Order order;
  };

  void layOut(Operation *op);

  //===--- Forms of values ------------------------------------------------===//

  const Laid *laidOf(Value value) const {
    auto found = laid.find(value);
    return found == laid.end() ? nullptr : &found->second;
  }
  Value transposed(Value value, ArrayRef<int64_t> order) { return codegen::transposed(b, loc, value, order); }
  Value reshaped(Value value, ArrayRef<int64_t> shape) { return codegen::reshaped(b, loc, value, shape); }
  /// `value` with its dimensions in this order.
  Value inOrder(Value value, ArrayRef<int64_t> order) {
    const Laid *known = laidOf(value);
    if (!known) {
      Value made = transposed(value, order);
      if (made != value)
        laid[value] = {made, Order(order)};
      return made;
    }
    Order back = inverse(known->order);
    return transposed(known->value, permuted(back, order));
  }
  /// `value`, laid out in `order`, takes the place of `old`.
  void replace(Value old, Value value, Order order) {
    Value back = transposed(value, inverse(order));
    old.replaceAllUsesWith(back);
    if (!isIdentity(order))
      laid[back] = {value, std::move(order)};
    old.getDefiningOp()->erase();
  }
  /// A copy of `op` with other operands and its result in `order`.
  Operation *clone(Operation *op, ValueRange operands, ArrayRef<int64_t> order) {
    Operation *copy = b.clone(*op);
    copy->setOperands(operands);
    Value result = copy->getResult(0);
    result.setType(tensorType(result).clone(permuted(shapeOf(result), order)));
    return copy;
  }

  //===--- Operators ------------------------------------------------------===//

  template <typename OpT> void conv(OpT op);
  template <typename OpT> void pool(OpT op);
  bool elementwise(Operation *op);
  void reduce(nn::ReduceOp op);
  void reshape(nn::ReshapeOp op);
  void transpose(nn::TransposeOp op);
  void concat(nn::ConcatOp op);
  void pad(nn::PadOp op);
  void slice(nn::SliceOp op);
  void alongDims(Operation *op, ArrayRef<StringRef> dimAttrs);

  func::FuncOp main;
  const CpuTarget &target;
  OpBuilder b;
  Location loc = b.getUnknownLoc();
  DenseMap<Value, Laid> laid; // looked up only
};

} // namespace

void ImageLayout::layOut(Operation *op) {
  if (isElementwise(op)) {
    elementwise(op);
    return;
  }
  TypeSwitch<Operation *>(op)
      .Case<nn::ConvOp, nn::ConvTransposeOp>([&](auto convOp) { conv(convOp); })
      .Case<nn::MaxPoolOp, nn::AvgPoolOp>([&](auto poolOp) { pool(poolOp); })
      .Case([&](nn::ReduceOp reduceOp) { reduce(reduceOp); })
      .Case([&](nn::ReshapeOp reshapeOp) { reshape(reshapeOp); })
      .Case([&](nn::TransposeOp transposeOp) { transpose(transposeOp); })
      .Case([&](nn::ConcatOp concatOp) { concat(concatOp); })
      .Case([&](nn::PadOp padOp) { pad(padOp); })
      .Case([&](nn::SliceOp sliceOp) { slice(sliceOp); })
      .Case<coll::AllReduceOp, coll::PermuteOp>([&](auto collective) { alongDims(collective, {}); })
      .Case<coll::HaloOp, coll::AllGatherOp, coll::ReduceScatterOp>(
          [&](auto collective) { alongDims(collective, {"dim"}); })
      .Case([&](coll::AllToAllOp allToAll) { alongDims(allToAll, {"split_dim", "concat_dim"}); })
      .Case<nn::SliceAtOp, nn::SoftmaxOp, nn::CumSumOp, nn::LrnOp>([&](auto along) { alongDims(along, {"axis"}); });
}

//===----------------------------------------------------------------------===//
// Convolution and pooling
//===----------------------------------------------------------------------===//

template <typename OpT> void ImageLayout::conv(OpT op) {
  Order order = channelsLast(tensorType(op.getInput()).getRank());
  Value result = convolve(b, op, inOrder(op.getInput(), order), target);
  if (op.getBias())
    result = nn::AddOp::create(b, loc, result.getType(), result, op.getBias());
  if constexpr (std::is_same_v<OpT, nn::ConvOp>)
    if (op.getRelu())
      result = nn::ReluOp::create(b, loc, result.getType(), result);
  replace(op.getResult(), result, order);
}

template <typename OpT> void ImageLayout::pool(OpT op) {
  Order order = channelsLast(tensorType(op.getInput()).getRank());
  auto copy = cast<OpT>(clone(op, inOrder(op.getInput(), order), order));
  copy.setChannelsLast(true);
  replace(op.getResult(), copy.getResult(), order);
}

//===----------------------------------------------------------------------===//
// What takes any order
//===----------------------------------------------------------------------===//

bool ImageLayout::elementwise(Operation *op) {
  RankedTensorType result = tensorType(op->getResult(0));
  const Laid *leading = nullptr;
  for (Value operand : op->getOperands())
    if (const Laid *known = laidOf(operand); known && !leading && tensorType(operand).getShape() == result.getShape())
      leading = known;
  if (!leading)
    return false;
  Order order = leading->order;
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    SmallVector<int64_t> shape(shapeOf(operand));
    if (tensorType(operand).getNumElements() == 1 && shape.size() <= 1) {
      operands.push_back(operand);
      continue;
    }
    shape.insert(shape.begin(), order.size() - shape.size(), 1);
    operands.push_back(inOrder(reshaped(operand, shape), order));
  }
  replace(op->getResult(0), clone(op, operands, order)->getResult(0), order);
  return true;
}

void ImageLayout::reduce(nn::ReduceOp op) {
  const Laid *known = laidOf(op.getInput());
  if (!known)
    return;
  Order order = known->order, kept;
  SmallVector<int64_t> axes;
  for (auto [i, from] : llvm::enumerate(order)) {
    if (llvm::is_contained(op.getAxes(), from))
      axes.push_back(i);
    else
      kept.push_back(from);
  }
  if (!op.getKeepDims()) {
    // The result's dimensions are the kept ones, in the original order.
    Order sorted(kept);
    llvm::sort(sorted);
    order = llvm::map_to_vector(kept, [&](int64_t d) { return int64_t(llvm::find(sorted, d) - sorted.begin()); });
  }
  auto copy = cast<nn::ReduceOp>(clone(op, known->value, order));
  copy.setAxes(axes);
  replace(op.getResult(), copy.getResult(), order);
}

/// Keeps the order of what is neither split nor merged; dimensions that are merged come side by side first.
void ImageLayout::reshape(nn::ReshapeOp op) {
  const Laid *known = laidOf(op.getInput());
  if (!known)
    return;
  ArrayRef<int64_t> from = shapeOf(op.getInput()), to = shapeOf(op.getResult());
  std::vector<Part> parts = partsOf(from, to);
  SmallVector<int64_t> partOf(from.size(), -1);
  for (auto [number, part] : llvm::enumerate(parts))
    for (int64_t d : part.from)
      partOf[d] = number;
  Order before, after; // of the input and of the result
  for (auto [d, size] : llvm::enumerate(to))
    if (size == 1)
      after.push_back(d);
  SmallVector<bool> seen(parts.size(), false);
  for (int64_t d : known->order) {
    if (from[d] == 1) {
      before.push_back(d);
      continue;
    }
    if (partOf[d] < 0)
      return; // shapes that are no parts of each other: empty tensors
    if (std::exchange(seen[partOf[d]], true))
      continue;
    llvm::append_range(before, parts[partOf[d]].from);
    llvm::append_range(after, parts[partOf[d]].to);
  }
  SmallVector<int64_t> moved(after);
  llvm::erase_if(moved, [&](int64_t d) { return to[d] == 1; });
  bool backInOrder = llvm::is_sorted(moved);
  if (backInOrder && before != known->order)
    return; // the original form is as near
  if (backInOrder)
    after.assign(llvm::seq<int64_t>(0, to.size()).begin(), llvm::seq<int64_t>(0, to.size()).end());
  Value input = inOrder(op.getInput(), before);
  replace(op.getResult(), reshaped(input, permuted(to, after)), after);
}

void ImageLayout::transpose(nn::TransposeOp op) {
  const Laid *known = laidOf(op.getInput());
  if (!known)
    return;
  Laid result{known->value, {}};
  Order place = inverse(op.getPermutation());
  for (int64_t from : known->order)
    result.order.push_back(place[from]);
  if (isIdentity(result.order)) {
    op.getResult().replaceAllUsesWith(result.value);
    op.erase();
    return;
  }
  laid[op.getResult()] = result;
}

void ImageLayout::concat(nn::ConcatOp op) {
  auto isLaid = [&](Value input) { return laidOf(input) != nullptr; };
  auto first = llvm::find_if(op.getInputs(), isLaid);
  if (first == op.getInputs().end())
    return;
  Order order = laidOf(*first)->order;
  SmallVector<Value> inputs = llvm::map_to_vector(op.getInputs(), [&](Value input) { return inOrder(input, order); });
  auto copy = cast<nn::ConcatOp>(clone(op, inputs, order));
  copy.setAxis(inverse(order)[op.getAxis()]);
  replace(op.getResult(), copy.getResult(), order);
}

void ImageLayout::pad(nn::PadOp op) {
  const Laid *known = laidOf(op.getInput());
  if (!known)
    return;
  Order order = known->order;
  auto copy = cast<nn::PadOp>(clone(op, known->value, order));
  copy.setLow(permuted(op.getLow(), order));
  copy.setHigh(permuted(op.getHigh(), order));
  replace(op.getResult(), copy.getResult(), order);
}

void ImageLayout::slice(nn::SliceOp op) {
  const Laid *known = laidOf(op.getInput());
  if (!known)
    return;
  Order order = known->order;
  auto copy = cast<nn::SliceOp>(clone(op, known->value, order));
  copy.setStarts(permuted(op.getStarts(), order));
  copy.setSizes(permuted(op.getSizes(), order));
  copy.setSteps(permuted(op.getSteps(), order));
  replace(op.getResult(), copy.getResult(), order);
}

/// An operator whose first operand and result have the same dimensions, some of them named by attributes.
void ImageLayout::alongDims(Operation *op, ArrayRef<StringRef> dimAttrs) {
  const Laid *known = laidOf(op->getOperand(0));
  if (!known)
    return;
  Order order = known->order, place = inverse(order);
  SmallVector<Value> operands(op->getOperands());
  operands[0] = known->value;
  Operation *copy = clone(op, operands, order);
  for (StringRef name : dimAttrs)
    copy->setAttr(name, b.getI64IntegerAttr(place[op->getAttrOfType<IntegerAttr>(name).getInt()]));
  replace(op->getResult(0), copy->getResult(0), order);
}

void mpopt::codegen::layOutImages(func::FuncOp main, const CpuTarget &target) { ImageLayout(main, target).run(); }
