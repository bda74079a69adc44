#ifndef MPOPT_LIB_IMPORT_ONNX_BUILD_H
#define MPOPT_LIB_IMPORT_ONNX_BUILD_H

#include "mlir/IR/Builders.h"
#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::onnx {

using mlir::ArrayRef;
using mlir::RankedTensorType;
using mlir::SmallVector;
using mlir::StringRef;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

/// What to do about an operator that is not supported; ends its message.
inline constexpr llvm::StringLiteral kExportAnew =
    "; export the model without it ('mpopt inspect' lists its operators)";

/// Builds nn operators with inferred types, folding as it goes. After an error (a diagnostic at `loc`) values are null; an
/// operator with a null operand is null without another diagnostic, so that callers check once, at the end.
class Build {
public:
  Build(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  template <typename Op>
  SmallVector<Value> makeAll(ArrayRef<Value> operands, ArrayRef<mlir::NamedAttribute> attributes = {},
                             ArrayRef<int32_t> segments = {});
  template <typename Op> Value make(ArrayRef<Value> operands, ArrayRef<mlir::NamedAttribute> attributes = {}) {
    return makeAll<Op>(operands, attributes).front();
  }

  mlir::NamedAttribute integer(StringRef name, int64_t value) { return {name, builder.getI64IntegerAttr(value)}; }
  mlir::NamedAttribute integers(StringRef name, ArrayRef<int64_t> v) { return {name, builder.getDenseI64ArrayAttr(v)}; }
  mlir::NamedAttribute number(StringRef name, double value) { return {name, builder.getF64FloatAttr(value)}; }
  mlir::NamedAttribute unit(StringRef name) { return {name, builder.getUnitAttr()}; }

  Value add(Value a, Value b) { return make<nn::AddOp>({a, b}); }
  Value sub(Value a, Value b) { return make<nn::SubOp>({a, b}); }
  Value mul(Value a, Value b) { return make<nn::MulOp>({a, b}); }
  Value div(Value a, Value b) { return make<nn::DivOp>({a, b}); }
  Value matmul(Value a, Value b) { return make<nn::MatmulOp>({a, b}); }
  Value compare(nn::Predicate predicate, Value a, Value b);
  Value select(Value condition, Value a, Value b) { return make<nn::SelectOp>({condition, a, b}); }
  Value cast(Value x, Type element);
  Value reshape(Value x, ArrayRef<int64_t> shape);
  Value transpose(Value x, ArrayRef<int64_t> permutation);
  Value broadcast(Value x, ArrayRef<int64_t> shape);
  /// `size` elements from `start` on along one axis.
  Value slice(Value x, int64_t axis, int64_t start, int64_t size);
  Value concat(ArrayRef<Value> inputs, int64_t axis);
  Value gather(Value x, Value indices, int64_t axis);
  Value reduce(nn::ReduceKind kind, Value x, ArrayRef<int64_t> axes, bool keepDims);
  /// Sum over the axes times 1 / count.
  Value mean(Value x, ArrayRef<int64_t> axes, bool keepDims);
  Value layerNorm(Value x, Value scale, Value bias, int64_t axis, double epsilon, bool rms);

  /// Elements as a sequence: one value that stands for them, see LowerSequences.cpp.
  Value pack(ArrayRef<Value> elements);

  /// A constant of one value everywhere.
  Value splat(double value, Type element, ArrayRef<int64_t> shape = {});
  /// A scalar of x's element type.
  Value like(Value x, double value) { return x ? splat(value, elementOf(x)) : Value(); }
  Value constant(mlir::DenseElementsAttr value);
  Value constantInts(ArrayRef<int64_t> values);
  /// start + step * index along `axis`: a constant where it is small.
  Value iota(RankedTensorType type, int64_t axis, double start, double step);

  /// Reports an error at the operator that is being built.
  mlir::InFlightDiagnostic fail() {
    failed = true;
    return mlir::emitError(loc);
  }
  mlir::Location location() const { return loc; }
  mlir::MLIRContext *context() const { return builder.getContext(); }
  bool hasFailed() const { return failed; }

  static RankedTensorType typeOf(Value x) { return llvm::cast<RankedTensorType>(x.getType()); }
  static ArrayRef<int64_t> shapeOf(Value x) { return typeOf(x).getShape(); }
  static int64_t rankOf(Value x) { return typeOf(x).getRank(); }
  static Type elementOf(Value x) { return typeOf(x).getElementType(); }
  static bool isFloat(Value x) { return llvm::isa<mlir::FloatType>(elementOf(x)); }

  /// The type of a tensor, or null (with a diagnostic) when it is negative or has more than 2^48 elements.
  RankedTensorType tensor(ArrayRef<int64_t> shape, Type element);

protected:
  mlir::OpBuilder &builder;
  mlir::Location loc;
  bool failed = false;

private:
  /// Creates the operation and folds it; `state` is complete.
  SmallVector<Value> finish(mlir::OperationState &state);
};

template <typename Op>
SmallVector<Value> Build::makeAll(ArrayRef<Value> operands, ArrayRef<mlir::NamedAttribute> attributes,
                                  ArrayRef<int32_t> segments) {
  SmallVector<Value> none(Op::template hasTrait<mlir::OpTrait::OneResult>() ? 1 : 2);
  if (failed || llvm::is_contained(operands, Value())) {
    failed = true;
    return none;
  }
  mlir::OperationState state(loc, Op::getOperationName());
  state.addOperands(operands);
  auto error = [&] { return mlir::emitError(loc); };
  auto dictionary = builder.getDictionaryAttr(attributes);
  auto &properties = state.getOrAddProperties<typename Op::Properties>();
  if constexpr (!std::is_same_v<typename Op::Properties, mlir::EmptyProperties>) {
    if (mlir::failed(Op::setPropertiesFromAttr(properties, dictionary, error)))
      return failed = true, none;
    if constexpr (Op::template hasTrait<mlir::OpTrait::AttrSizedOperandSegments>())
      llvm::copy(segments, properties.operandSegmentSizes.begin());
  }
  SmallVector<Type> types;
  if (mlir::failed(Op::inferReturnTypes(builder.getContext(), loc, state.operands, dictionary, state.getRawProperties(),
                                        {}, types)))
    return failed = true, none;
  for (Type type : types)
    if (!tensor(llvm::cast<RankedTensorType>(type).getShape(), llvm::cast<RankedTensorType>(type).getElementType()))
      return none;
  state.addTypes(types);
  return finish(state);
}

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_BUILD_H
