#include "Tensors.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace mpopt;

namespace {

/// A TensorProto.DataType and the element type that we hold it in.
struct TypeEntry {
  int dataType;
  Type (*make)(Builder &);
};
const TypeEntry kTypes[] = {
    {1, [](Builder &b) -> Type { return b.getF32Type(); }},
    {2, [](Builder &b) -> Type { return b.getIntegerType(8, false); }},
    {3, [](Builder &b) -> Type { return b.getIntegerType(8); }},
    {4, [](Builder &b) -> Type { return b.getIntegerType(16, false); }},
    {5, [](Builder &b) -> Type { return b.getIntegerType(16); }},
    {6, [](Builder &b) -> Type { return b.getI32Type(); }},
    {7, [](Builder &b) -> Type { return b.getI64Type(); }},
    {9, [](Builder &b) -> Type { return b.getI1Type(); }},
    {10, [](Builder &b) -> Type { return b.getF16Type(); }},
    {11, [](Builder &b) -> Type { return b.getF64Type(); }},
    {12, [](Builder &b) -> Type { return b.getIntegerType(32, false); }},
    {13, [](Builder &b) -> Type { return b.getIntegerType(64, false); }},
    {16, [](Builder &b) -> Type { return b.getBF16Type(); }},
};

} // namespace

Type onnx::elementTypeOf(MLIRContext *context, int64_t dataType) {
  Builder builder(context);
  for (const TypeEntry &entry : kTypes)
    if (entry.dataType == dataType)
      return entry.make(builder);
  return nullptr;
}

int onnx::dataTypeOf(Type element) {
  Builder builder(element.getContext());
  for (const TypeEntry &entry : kTypes)
    if (entry.make(builder) == element)
      return entry.dataType;
  return 0;
}
