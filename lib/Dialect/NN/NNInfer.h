#ifndef MPOPT_LIB_DIALECT_NN_NNINFER_H
#define MPOPT_LIB_DIALECT_NN_NNINFER_H

#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::nn {

/// Where inference puts result types and errors.
class Inference {
public:
  Inference(std::optional<mlir::Location> loc, llvm::SmallVectorImpl<mlir::Type> &results)
      : loc(loc), results(results) {}

  mlir::LogicalResult give(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  mlir::LogicalResult give(mlir::Type type) {
    results.push_back(type);
    return mlir::success();
  }
  template <typename... Args> mlir::LogicalResult fail(Args &&...args) const {
    return mlir::emitOptionalError(loc, std::forward<Args>(args)...);
  }
  /// Whether all operands are static ranked tensors; text can hold anything.
  mlir::LogicalResult check(mlir::ValueRange operands) const;
  /// Whether 0 <= axis < rank.
  mlir::LogicalResult checkAxis(int64_t axis, int64_t rank) const;
  /// The types' common element type, or an error.
  mlir::LogicalResult checkSameElement(mlir::Value a, mlir::Value b) const;

private:
  std::optional<mlir::Location> loc;
  llvm::SmallVectorImpl<mlir::Type> &results;
};

inline mlir::RankedTensorType typeOf(mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()); }
inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) { return typeOf(value).getShape(); }

} // namespace mpopt::nn

namespace mpopt::nn {

/// The properties to infer from: those given, and what is still an attribute or a default, as it is while text is parsed.
template <typename Op>
typename Op::Properties completeProperties(mlir::MLIRContext *context, mlir::OpaqueProperties given,
                                           mlir::DictionaryAttr attributes) {
  using Properties = typename Op::Properties;
  Properties properties = given ? *given.as<Properties *>() : Properties();
  if constexpr (requires { Op::setInherentAttr(properties, llvm::StringRef(), mlir::Attribute()); })
    for (mlir::NamedAttribute attribute : attributes)
      Op::setInherentAttr(properties, attribute.getName(), attribute.getValue());
  if constexpr (requires(mlir::OperationName name) { Op::populateDefaultProperties(name, properties); })
    Op::populateDefaultProperties(mlir::OperationName(Op::getOperationName(), context), properties);
  return properties;
}

} // namespace mpopt::nn

/// Defines OP::inferReturnTypes by the function `infer(OP::Adaptor, Inference &)`.
#define MPOPT_INFER(OP)                                                                                                \
  mlir::LogicalResult OP::inferReturnTypes(mlir::MLIRContext *context, std::optional<mlir::Location> loc,              \
                                           mlir::ValueRange operands, mlir::DictionaryAttr attributes,                 \
                                           mlir::OpaqueProperties given, mlir::RegionRange regions,                    \
                                           llvm::SmallVectorImpl<mlir::Type> &results) {                               \
    Inference to(loc, results);                                                                                        \
    auto properties = completeProperties<OP>(context, given, attributes);                                              \
    OP::Adaptor op(operands, attributes, properties, regions);                                                         \
    if (failed(op.verify(loc.value_or(mlir::UnknownLoc::get(context)))) || failed(to.check(operands)))                 \
      return mlir::failure();                                                                                          \
    return infer(op, to);                                                                                              \
  }

#endif // MPOPT_LIB_DIALECT_NN_NNINFER_H
