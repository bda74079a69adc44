#ifndef MPOPT_LIB_DIALECT_NN_NNFOLDDATA_H
#define MPOPT_LIB_DIALECT_NN_NNFOLDDATA_H

#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::nn {

/// The elements of a constant, widened: floats to double, integers to int64 (unsigned 64-bit ones keep their bits). A splat
/// holds one element.
struct FoldData {
  mlir::RankedTensorType type;
  bool splat = false;
  std::vector<double> floats;
  std::vector<int64_t> ints;

  /// Reads a dense constant; nullopt when the attribute is none, or is too large to work on and no splat.
  static std::optional<FoldData> read(mlir::Attribute attribute);
  /// An empty constant of a type.
  explicit FoldData(mlir::RankedTensorType type) : type(type) {}

  bool isFloat() const { return llvm::isa<mlir::FloatType>(type.getElementType()); }
  size_t size() const { return isFloat() ? floats.size() : ints.size(); }
  double floatAt(int64_t i) const { return floats[splat ? 0 : i]; }
  int64_t intAt(int64_t i) const { return ints[splat ? 0 : i]; }
  /// The element as a double, whatever its type.
  double numberAt(int64_t i) const { return isFloat() ? floatAt(i) : static_cast<double>(intAt(i)); }
  void push(const FoldData &from, int64_t i) {
    if (isFloat())
      floats.push_back(from.floatAt(i));
    else
      ints.push_back(from.intAt(i));
  }

  /// The constant, rounded to its element type. An element that the type cannot hold wraps around (integers).
  mlir::DenseElementsAttr write() const;
};

/// Row-major strides of `shape` seen from `result`, 0 where it is broadcast.
llvm::SmallVector<int64_t> broadcastStrides(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> result);

/// Calls fn(i, offset) for every element i of `shape` in order, where offset = start + sum index[d] * strides[d].
void forEachOffset(llvm::ArrayRef<int64_t> shape, int64_t start, llvm::ArrayRef<int64_t> strides,
                   llvm::function_ref<void(int64_t, int64_t)> fn);

/// Whether a result may be made: a splat, or small.
bool mayFold(mlir::RankedTensorType type, bool splat);

} // namespace mpopt::nn

#endif // MPOPT_LIB_DIALECT_NN_NNFOLDDATA_H
