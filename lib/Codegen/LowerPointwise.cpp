#include "Lower.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

void Kernel::store(const Place &place) {
  for (Output &output : outputs)
    ev.store(ev.at(output.value, place), output.view, place);
}

void Kernel::write(Value value, const Place &place, Value elements) {
  ev.fresh();
  ev.provide(value, [elements](const Place &) { return elements; });
  store(place);
  ev.fresh();
}

void Kernel::lookThroughOutputs() {
  for (Output &output : outputs) {
    while (auto transpose = output.value.getDefiningOp<nn::TransposeOp>()) {
      View view = output.view;
      for (auto [d, from] : llvm::enumerate(transpose.getPermutation())) {
        view.strides[from] = output.view.strides[d];
        view.shape[from] = output.view.shape[d];
      }
      output = {transpose.getInput(), view};
    }
  }
}

/// Writes operand after operand of a concatenation that is an output, so that no element asks where it comes from.
static void lowerConcat(Kernel &kernel, nn::ConcatOp concat, const View &view) {
  int64_t offset = 0;
  for (Value input : concat.getInputs()) {
    View part = view;
    part.offset += offset * view.strides[concat.getAxis()];
    offset += tensorType(input).getDimSize(concat.getAxis());
    Kernel copy{kernel.e, kernel.ev, {{input, part}}};
    (void)lowerPointwise(copy);
  }
}

LogicalResult mpopt::codegen::lowerPointwise(Kernel &kernel) {
  Emitter &e = kernel.e;
  SmallVector<Kernel::Output> rest(kernel.outputs);
  while (!rest.empty()) {
    if (auto concat = rest[0].value.getDefiningOp<nn::ConcatOp>()) {
      lowerConcat(kernel, concat, rest[0].view);
      rest.erase(rest.begin());
      continue;
    }
    ArrayRef<int64_t> shape = tensorType(rest[0].value).getShape();
    Kernel same{e, kernel.ev, {}};
    SmallVector<Kernel::Output> others;
    for (Kernel::Output &output : rest)
      (tensorType(output.value).getShape() == shape ? same.outputs : others).push_back(output);
    rest = others;
    if (shape.empty()) {
      kernel.ev.fresh();
      same.store(Place::element({}));
      continue;
    }
    e.nest(shape.drop_back(), [&](ArrayRef<Value> outer) {
      e.chunks(shape.back(), [&](Value start, int64_t lanes) {
        kernel.ev.fresh();
        SmallVector<Value> index(outer);
        index.push_back(start);
        same.store(Place::run(index, lanes));
        kernel.ev.fresh();
      });
    });
  }
  return success();
}
