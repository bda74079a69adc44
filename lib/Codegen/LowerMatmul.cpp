#include "Lower.h"
#include "Product.h"
#include <numeric>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

bool mpopt::codegen::hasLongEpilogue(Operation *product) {
  int64_t cost = 0;
  for (Operation &op : *product->getBlock()) {
    if (!isElementwise(&op))
      continue;
    bool cheap = isa<nn::AddOp, nn::SubOp, nn::MulOp, nn::MaxOp, nn::MinOp, nn::ReluOp, nn::NegOp, nn::CastOp>(op);
    cost += cheap ? 1 : 8;
  }
  return cost > 4;
}

SmallVector<Value> mpopt::codegen::delinearize(Emitter &e, Value linear, ArrayRef<int64_t> shape) {
  SmallVector<Value> index(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    bool outermost = llvm::all_of(shape.take_front(d), [](int64_t size) { return size == 1; });
    index[d] = shape[d] == 1 ? e.i64(0) : outermost ? linear : e.rem(linear, shape[d]);
    if (shape[d] != 1 && !outermost)
      linear = e.div(linear, shape[d]);
  }
  return index;
}

/// The output that can hold unfinished sums of `product` until its own elements take their place.
static const Kernel::Output *memoryForSums(const Kernel &kernel, Value product, Type sums) {
  auto *found = llvm::find_if(kernel.outputs, [&](const Kernel::Output &output) {
    return output.view.element == sums && output.view.strides.back() == 1 &&
           tensorType(output.value).getShape() == tensorType(product).getShape();
  });
  return found == kernel.outputs.end() ? nullptr : found;
}

LogicalResult mpopt::codegen::lowerPackedMatmul(Kernel &kernel, nn::PackedMatmulOp op) {
  Emitter &e = kernel.e;
  Evaluator &ev = kernel.ev;
  ArrayRef<int64_t> shape = tensorType(op.getLhs()).getShape(), packedShape = tensorType(op.getPacked()).getShape();
  ArrayRef<int64_t> rowShape = shape.drop_back();
  std::optional<View> left = ev.viewOf(op.getLhs()), right = ev.viewOf(op.getPacked());
  if (!left || !right)
    return op.emitOpError("needs operands that lie in memory");
  Product product;
  product.rows = std::accumulate(rowShape.begin(), rowShape.end(), int64_t(1), std::multiplies<>());
  product.columns = op.getN();
  product.depth = shape.back();
  product.panel = packedShape[2];
  product.type = registerType(tensorType(op.getLhs()).getElementType());
  product.longFinish = hasLongEpilogue(op);
  if (product.panel % e.target.vectorWidth() || product.panel > 8 * e.target.vectorWidth())
    return op.emitOpError("panel width ") << product.panel << " does not suit " << e.target.cpu;
  auto indexOf = [&](Value row, Value last) {
    SmallVector<Value> index = delinearize(e, row, rowShape);
    index.push_back(last);
    return index;
  };
  product.lhs = [&](Value row, Value k) { return ev.load(*left, Place::element(indexOf(row, k))); };
  product.rhs = [&](Value p, Value, int64_t offset, Value k, int64_t) {
    Value value = ev.load(*right, Place::run({p, k, e.i64(offset)}, e.target.vectorWidth()));
    return value;
  };
  product.finish = [&](Value row, Value column, int64_t lanes, Value sums) {
    kernel.write(op.getResult(), Place::run(indexOf(row, column), lanes), sums);
  };
  if (const Kernel::Output *kept = memoryForSums(kernel, op.getResult(), product.type)) {
    product.keep = [&, kept](Value row, Value column, int64_t lanes, Value sums) {
      ev.store(sums, kept->view, Place::run(indexOf(row, column), lanes));
    };
    product.kept = [&, kept](Value row, Value column, int64_t lanes) {
      return ev.loadPartial(kept->view, indexOf(row, column), lanes);
    };
  }
  emitProduct(e, product);
  return success();
}

namespace {

/// The right matrix of a product by activations: read in place when its rows are contiguous, else copied panel by panel.
struct RightMatrix {
  Kernel &kernel;
  Value value;
  SmallVector<Value> batch;
  std::optional<View> view;
  Value panelBuffer;
  Type type;
  int64_t panel;

  void prepare(Value start, int64_t columns, int64_t depth) {
    Emitter &e = kernel.e;
    e.loop(0, depth, 1, [&](Value k) {
      e.chunks(columns, [&](Value offset, int64_t lanes) {
        kernel.ev.fresh();
        SmallVector<Value> index(batch);
        index.append({k, e.add(start, offset)});
        Value run = kernel.ev.at(value, Place::run(index, lanes));
        e.store(run, panelBuffer, type, e.add(e.mul(k, panel), offset));
        kernel.ev.fresh();
      });
    });
  }

  Value read(Value start, int64_t offset, Value k, int64_t lanes) {
    Emitter &e = kernel.e;
    int64_t width = e.target.vectorWidth();
    if (panelBuffer)
      return e.load(panelBuffer, type, e.add(e.mul(k, panel), e.i64(offset)), width);
    SmallVector<Value> index(batch);
    index.append({k, e.add(start, e.i64(offset))});
    if (view && view->strides.back() == 1)
      return kernel.ev.loadPartial(*view, index, lanes);
    kernel.ev.fresh();
    Value run = e.splat(kernel.ev.at(value, Place::run(index, lanes)), lanes);
    SmallVector<Value> all;
    for (int64_t i = 0; i < width; ++i)
      all.push_back(i < lanes ? e.lane(run, i) : e.constant(type, 0));
    kernel.ev.fresh();
    return lanes == width ? run : e.fromLanes(all);
  }
};

} // namespace

/// Batch index of an operand whose leading dimensions broadcast to `outer`.
static SmallVector<Value> batchIndex(Emitter &e, Value operand, ArrayRef<Value> outer) {
  ArrayRef<int64_t> shape = tensorType(operand).getShape().drop_back(2);
  SmallVector<Value> index;
  for (size_t d = 0; d < shape.size(); ++d)
    index.push_back(shape[d] == 1 ? e.i64(0) : outer[d + outer.size() - shape.size()]);
  return index;
}

LogicalResult mpopt::codegen::lowerMatmul(Kernel &kernel, nn::MatmulOp op) {
  Emitter &e = kernel.e;
  Evaluator &ev = kernel.ev;
  ArrayRef<int64_t> shape = tensorType(op.getResult()).getShape();
  Type type = registerType(tensorType(op.getLhs()).getElementType());
  Product product;
  product.rows = shape[shape.size() - 2];
  product.columns = shape.back();
  product.depth = tensorType(op.getLhs()).getShape().back();
  product.type = type;
  product.longFinish = hasLongEpilogue(op);
  int64_t width = e.target.vectorWidth();
  product.panel = std::min(e.target.panelWidth(product.rows), (product.columns + width - 1) / width * width);
  std::optional<View> left = ev.viewOf(op.getLhs()), right = ev.viewOf(op.getRhs());
  int64_t panelBytes = product.depth * product.panel * elementBytes(type);
  Value buffer;
  bool inPlace = right && right->strides.back() == 1;
  if (!inPlace && panelBytes <= (40 << 10))
    buffer = e.stack(type, product.depth * product.panel);
  e.nest(shape.drop_back(2), [&](ArrayRef<Value> outer) {
    SmallVector<Value> leftBatch = batchIndex(e, op.getLhs(), outer);
    RightMatrix matrix{kernel, op.getRhs(), batchIndex(e, op.getRhs(), outer), right, buffer, type, product.panel};
    product.lhs = [&](Value row, Value k) {
      SmallVector<Value> index(leftBatch);
      index.append({row, k});
      if (left)
        return ev.load(*left, Place::element(index));
      ev.fresh();
      Value element = ev.at(op.getLhs(), Place::element(index));
      ev.fresh();
      return element;
    };
    if (buffer)
      product.preparePanel = [&](Value, Value start, int64_t columns) {
        matrix.prepare(start, columns, product.depth);
      };
    product.rhs = [&](Value, Value start, int64_t offset, Value k, int64_t lanes) {
      return matrix.read(start, offset, k, lanes);
    };
    product.finish = [&](Value row, Value column, int64_t lanes, Value sums) {
      SmallVector<Value> index(outer);
      index.append({row, column});
      kernel.write(op.getResult(), Place::run(index, lanes), sums);
    };
    emitProduct(e, product);
  });
  return success();
}
