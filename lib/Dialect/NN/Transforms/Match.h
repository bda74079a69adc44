#ifndef MPOPT_LIB_DIALECT_NN_TRANSFORMS_MATCH_H
#define MPOPT_LIB_DIALECT_NN_TRANSFORMS_MATCH_H

#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::nn {

inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType()).getShape();
}
inline int64_t rankOf(mlir::Value value) { return shapeOf(value).size(); }
inline mlir::Type elementOf(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType()).getElementType();
}

/// The number that a constant is everywhere.
std::optional<double> splatOf(mlir::Value value);

/// Whether two numbers agree to what f32 holds of them.
bool nearly(double a, double b);

/// For x * c or x / c with a splat constant c of no higher rank than x: x and the factor.
struct Scaled {
  mlir::Value value;
  double factor = 1;
};
std::optional<Scaled> matchScaled(mlir::Value value);

/// x and c of x + c with a splat constant c.
struct Offset {
  mlir::Value value;
  double term;
};
std::optional<Offset> matchOffset(mlir::Value value);

/// x and the last dimensions that a mean (sum times 1 / count) goes over; keep_dims.
struct Mean {
  mlir::Value value;
  int64_t axis;
};
std::optional<Mean> matchMean(mlir::Value value);

/// x of x * x or x ^ 2.
mlir::Value matchSquare(mlir::Value value);

/// A constant of an integer or boolean type in full.
std::optional<llvm::SmallVector<int64_t>> intsOf(mlir::Value value);

} // namespace mpopt::nn

#endif // MPOPT_LIB_DIALECT_NN_TRANSFORMS_MATCH_H
