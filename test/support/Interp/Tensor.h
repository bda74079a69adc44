#ifndef MPOPT_TEST_SUPPORT_INTERP_TENSOR_H
#define MPOPT_TEST_SUPPORT_INTERP_TENSOR_H

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include <string>
#include <vector>

namespace mpopt::interp {

/// A host tensor: row-major, floats held as doubles, integers and booleans (0 or 1) as 64-bit integers.
struct Tensor {
  mlir::Type element;
  llvm::SmallVector<int64_t> shape;
  std::vector<double> floats;
  std::vector<int64_t> ints;

  /// All zeros, of a tensor type with static shape.
  static Tensor zeros(mlir::Type type);
  static Tensor zeros(mlir::Type element, llvm::ArrayRef<int64_t> shape);

  bool isFloat() const { return llvm::isa<mlir::FloatType>(element); }
  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t size() const { return static_cast<int64_t>(isFloat() ? floats.size() : ints.size()); }
  mlir::RankedTensorType type() const { return mlir::RankedTensorType::get(shape, element); }

  /// Row-major offset of an index.
  int64_t at(llvm::ArrayRef<int64_t> index) const;
  /// Offset of the element that numpy's broadcasting pairs with `index` of a larger shape.
  int64_t atBroadcast(llvm::ArrayRef<int64_t> index) const;

  double number(int64_t i) const { return isFloat() ? floats[i] : static_cast<double>(ints[i]); }
  /// Integers saturate, so that infinities give the largest and smallest ones.
  void setNumber(int64_t i, double value);
  void copy(int64_t i, const Tensor &from, int64_t j);
  /// What padding holds: NaN, or a large odd integer (true for booleans).
  void poison(int64_t i);
  /// Rounds floats to the element type (unless `keepDoubles`) and wraps integers to their width.
  void round(bool keepDoubles);
};

/// Calls `body(index, i)` for every index of `shape` in row-major order.
void forEachIndex(llvm::ArrayRef<int64_t> shape, llvm::function_ref<void(llvm::ArrayRef<int64_t>, int64_t)> body);

/// Deterministic values that follow from `seed` alone. Floats are multiples of 1/8 in [-2, 2], integers lie in [0, 7]: sums and a few
/// products of them are exact.
Tensor randomTensor(mlir::RankedTensorType type, uint64_t seed);
/// A number that follows from the text alone, the same on every machine.
uint64_t hashName(llvm::StringRef name);

/// The first place where two tensors differ by more than `tolerance` of the larger of 1 and the expected tensor's largest
/// finite magnitude (NaN equals NaN, integers must be equal); empty when there is none.
std::string firstDifference(const Tensor &expected, const Tensor &actual, double tolerance);

} // namespace mpopt::interp

#endif // MPOPT_TEST_SUPPORT_INTERP_TENSOR_H
