// Products of rows by the matrices of the experts that they are sent to.
#include "Lower.h"
#include "Product.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

namespace {

/// Rows are listed by expert, chunk by chunk; each expert then multiplies its rows in blocks, so that its matrix is read once per chunk.
class ExpertMatmul {
public:
  ExpertMatmul(Kernel &kernel, nn::ExpertMatmulOp op)
      : kernel(kernel), e(kernel.e), op(op), left(*kernel.ev.viewOf(op.getLhs())),
        right(*kernel.ev.viewOf(op.getWeights())), indices(*kernel.ev.viewOf(op.getIndices())),
        rows(tensorType(op.getIndices()).getDimSize(0)), experts(tensorType(op.getWeights()).getDimSize(0)),
        columns(tensorType(op.getResult()).getDimSize(1)), chunk(std::min(rows, kMostRows)),
        list(e.stack(e.b.getI64Type(), chunk)) {}

  void emit() {
    e.loop(0, rows, chunk, [&](Value from) {
      Value to = e.minimum(e.add(from, e.i64(chunk)), e.i64(rows));
      e.loop(from, to, 1, [&](Value row) { clearStray(row); });
      e.loop(0, experts, 1, [&](Value expert) { multiply(expert, listRows(expert, from, to)); });
    });
  }

private:
  static constexpr int64_t kMostRows = 4096;

  Value indexOf(Value row) {
    Value index = kernel.ev.load(indices, Place::element({row}));
    return index.getType().isInteger(64) ? index : arith::ExtSIOp::create(e.b, e.loc, e.b.getI64Type(), index);
  }

  Value asNumber(Value condition) { return e.select(condition, e.i64(1), e.i64(0)); }

  /// Rows that no expert takes are zero.
  void clearStray(Value row) {
    using P = arith::CmpIPredicate;
    Value index = indexOf(row);
    Value isStray = e.compare(P::uge, index, e.i64(experts));
    e.loop(e.i64(0), asNumber(isStray), 1, [&](Value) {
      e.chunks(columns,
               [&](Value column, int64_t lanes) { write(row, column, lanes, e.splat(e.constant(type(), 0), lanes)); });
    });
  }

  /// Writes the numbers of the expert's rows to the list; returns how many there are.
  Value listRows(Value expert, Value from, Value to) {
    return e.loop(from, to, 1, {e.i64(0)}, [&](Value row, ValueRange count) -> SmallVector<Value> {
      e.store(row, list, e.b.getI64Type(), count[0]);
      Value isMine = e.compare(arith::CmpIPredicate::eq, indexOf(row), expert);
      return {e.add(count[0], asNumber(isMine))};
    })[0];
  }

  void multiply(Value expert, Value count) {
    Product product;
    int64_t width = e.target.vectorWidth(), times = rows / tensorType(op.getLhs()).getDimSize(0);
    product.rows = chunk;
    product.rowCount = count;
    product.columns = columns;
    product.depth = tensorType(op.getLhs()).getDimSize(1);
    product.panel = op.getN() ? tensorType(op.getWeights()).getDimSize(3)
                              : std::min(e.target.panelWidth(chunk), (columns + width - 1) / width * width);
    product.type = type();
    // A block's missing rows repeat the last one.
    auto listed = [this, count](Value row) {
      Value last = e.sub(count, e.i64(1));
      return e.load(list, e.b.getI64Type(), e.minimum(row, last), 1);
    };
    product.lhs = [&, listed](Value row, Value k) {
      return kernel.ev.load(left, Place::element({e.div(listed(row), times), k}));
    };
    product.rhs = [&](Value panel, Value start, int64_t offset, Value k, int64_t lanes) {
      return op.getN() ? kernel.ev.load(right, Place::run({expert, panel, k, e.i64(offset)}, width))
                       : readRow(expert, k, e.add(start, e.i64(offset)), lanes, width);
    };
    product.finish = [&, listed](Value row, Value column, int64_t lanes, Value sums) {
      write(listed(row), column, lanes, sums);
    };
    emitProduct(e, product);
  }

  Value readRow(Value expert, Value k, Value column, int64_t lanes, int64_t width) {
    Value linear = e.add(e.i64(right.offset), e.mul(column, right.strides[2]));
    linear = e.add(linear, e.add(e.mul(expert, right.strides[0]), e.mul(k, right.strides[1])));
    return e.loadPartial(right.pointer, right.element, linear, lanes, width);
  }

  void write(Value row, Value column, int64_t lanes, Value sums) {
    kernel.ev.fresh();
    kernel.ev.provide(op.getResult(), [sums](const Place &) { return sums; });
    kernel.store(Place::run({row, column}, lanes));
    kernel.ev.fresh();
  }

  Type type() { return registerType(tensorType(op.getLhs()).getElementType()); }

  Kernel &kernel;
  Emitter &e;
  nn::ExpertMatmulOp op;
  View left, right, indices;
  int64_t rows, experts, columns, chunk;
  Value list;
};

} // namespace

LogicalResult mpopt::codegen::lowerExpertMatmul(Kernel &kernel, nn::ExpertMatmulOp op) {
  for (Value operand : op.getOperands())
    if (!kernel.ev.viewOf(operand))
      return op.emitOpError("needs operands that lie in memory");
  if (op.getN() && tensorType(op.getWeights()).getDimSize(3) % kernel.e.target.vectorWidth())
    return op.emitOpError("panel width does not suit ") << kernel.e.target.cpu;
  if (tensorType(op.getResult()).getNumElements() > 0)
    ExpertMatmul(kernel, op).emit();
  return success();
}
