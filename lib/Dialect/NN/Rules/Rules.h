#ifndef MPOPT_LIB_DIALECT_NN_RULES_RULES_H
#define MPOPT_LIB_DIALECT_NN_RULES_RULES_H

#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::nn {

/// One dimension of one tensor of an operation.
struct Slot {
  bool isResult;
  unsigned tensor;
  int64_t dim;
};
inline Slot in(unsigned tensor, int64_t dim) { return {false, tensor, dim}; }
inline Slot out(unsigned tensor, int64_t dim) { return {true, tensor, dim}; }

/// Makes a rule dimension by dimension. Dimensions that get no factor may not be split.
class RuleBuilder {
public:
  explicit RuleBuilder(mlir::Operation *op);

  int64_t size(Slot slot) const;
  /// Adds a factor that is the whole of these dimensions, except of those of size 1, and returns its number; nothing where all
  /// are of size 1.
  std::optional<unsigned> link(llvm::ArrayRef<Slot> slots, shd::FactorKind kind = shd::FactorKind::Parallel,
                               shd::ReduceKind reduce = shd::ReduceKind::Sum);
  /// Appends a factor to a dimension, minor to those that it has.
  void append(Slot slot, unsigned factor) { dims(slot).push_back(factor); }
  /// Links the dimensions of operand t that meet, aligned at the end, the same dimensions of result 0 from `firstResultDim` on.
  void follow(unsigned t, int64_t firstResultDim = 0, int64_t lastResultDim = -1);

  shd::PartitionRule rule;

private:
  llvm::SmallVector<unsigned, 2> &dims(Slot slot);
  mlir::Operation *op;
};

/// A rule under which nothing may be split.
shd::PartitionRule opaqueRule(mlir::Operation *op);

/// Builds nn operations on local values at one place; what several buildLocal bodies need.
class LocalBuilder {
public:
  LocalBuilder(mlir::OpBuilder &builder, mlir::Location loc, const shd::LocalContext &context)
      : builder(builder), loc(loc), context(context) {}

  mlir::Value scalar(mlir::Type element, double value);
  /// x + y and so on, with numpy's broadcasting.
  template <typename OpT> mlir::Value binary(mlir::Value lhs, mlir::Value rhs) {
    return OpT::create(builder, loc, lhs, rhs);
  }
  template <typename OpT> mlir::Value unary(mlir::Value x) { return OpT::create(builder, loc, x); }
  /// Reduction over `dims`, kept as size 1, on this device and then over all devices along `axes`.
  mlir::Value reduce(mlir::Value x, ReduceKind kind, llvm::ArrayRef<int64_t> dims,
                     llvm::ArrayRef<mlir::StringAttr> axes);
  /// x with padding past global position `size` of `dim`, split over `axes`, set to `value`; x itself when there is no padding.
  mlir::Value mask(mlir::Value x, int64_t dim, int64_t size, llvm::ArrayRef<mlir::StringAttr> axes, double value);
  /// x, a local value of operand t of `op`, with padding of all its dimensions set to `value`.
  mlir::Value maskAll(mlir::Value x, mlir::Operation *op, unsigned t, double value);
  /// Scalar i64: this device's place along `axes`, times `scale`.
  mlir::Value place(llvm::ArrayRef<mlir::StringAttr> axes, int64_t scale);
  /// The number of devices along `axes`.
  int64_t ways(llvm::ArrayRef<mlir::StringAttr> axes) const { return context.mesh.sizeOf(axes); }
  /// The rows of all devices along `axes`.
  mlir::Value gather(mlir::Value x, llvm::ArrayRef<mlir::StringAttr> axes);
  /// coll.dispatch or coll.combine, with so many rows in its result.
  template <typename OpT>
  mlir::Value route(mlir::Value x, mlir::Value choices, int64_t experts, int64_t rows,
                    llvm::ArrayRef<mlir::StringAttr> axes) {
    auto type = mlir::cast<mlir::RankedTensorType>(x.getType());
    return OpT::create(builder, loc, type.clone({rows, type.getDimSize(1)}), x, choices,
                       builder.getI64IntegerAttr(experts), context.meshName, axesAttr(axes));
  }
  /// x on the first device along `axes`, zero elsewhere; x itself without axes.
  mlir::Value keepFirst(mlir::Value x, llvm::ArrayRef<mlir::StringAttr> axes);
  mlir::Value select(mlir::Value condition, mlir::Value lhs, mlir::Value rhs);
  mlir::Value compare(Predicate predicate, mlir::Value lhs, mlir::Value rhs);

private:
  mlir::ArrayAttr axesAttr(llvm::ArrayRef<mlir::StringAttr> axes) const {
    return builder.getArrayAttr(llvm::SmallVector<mlir::Attribute>(axes.begin(), axes.end()));
  }

  mlir::OpBuilder &builder;
  mlir::Location loc;
  const shd::LocalContext &context;
};

inline mlir::RankedTensorType typeOf(mlir::Value value) { return mlir::cast<mlir::RankedTensorType>(value.getType()); }
inline double elementBytes(mlir::Value value) { return std::max(1u, typeOf(value).getElementTypeBitWidth() / 8); }

/// Local size of a dimension: the product of its factors' local sizes.
int64_t localSize(llvm::ArrayRef<unsigned> factors, llvm::ArrayRef<int64_t> sizes);

/// Clones `op` with the padding of operand t set to `value`: for operands whose padding could lead astray or trap.
llvm::FailureOr<llvm::SmallVector<mlir::Value>> cloneMasked(mlir::Operation *op, mlir::OpBuilder &builder,
                                                            mlir::ValueRange operands, const shd::LocalContext &context,
                                                            unsigned t, double value);

} // namespace mpopt::nn

#endif // MPOPT_LIB_DIALECT_NN_RULES_RULES_H
