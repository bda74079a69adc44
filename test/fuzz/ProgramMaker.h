#ifndef MPOPT_TEST_FUZZ_PROGRAMMAKER_H
#define MPOPT_TEST_FUZZ_PROGRAMMAKER_H

#include "Interp/Interp.h"
#include "Random.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OwningOpRef.h"
#include "mpopt/Dialect/NN/NN.h"

namespace mpopt::fuzz {

/// A module with @main and inputs for it.
struct Program {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  interp::Tensors inputs;

  mlir::func::FuncOp main() { return llvm::cast<mlir::func::FuncOp>(module->lookupSymbol("main")); }
  Program clone();
};

/// What programs are made for.
struct Limits {
  /// Values that count as exact: multiples of `unit` below `largest`, so that sums of some hundred products of them have no rounding.
  double unit, largest;
  /// Whether operators may occur that kernel formation makes, for its own widths.
  bool packed;
};
inline constexpr Limits kForDoubles{1.0 / 1024, 1 << 20, true}, kForKernels{1.0 / 8, 16, false};

/// Makes random valid nn programs. Every value is computed as it is made, so that nothing overflows and no operator that jumps
/// (floor, compare, top_k, ..) sees a value that another order of summation could put on the other side of the jump.
class ProgramMaker {
public:
  ProgramMaker(mlir::MLIRContext *context, uint64_t seed, Limits limits = kForDoubles);

  /// A program of `ops` operators.
  Program make(int64_t ops);
  /// A program around one operator of that name ("softmax"); null module when none came out.
  Program makeOne(llvm::StringRef name);

  /// Names of the operators that can be made.
  static std::vector<llvm::StringRef> names();

private:
  struct Known {
    mlir::Value value;
    interp::Tensor tensor;
    /// Sums and products so far were exact, in any order.
    bool exact;
  };
  using Shape = llvm::SmallVector<int64_t>;
  using Maker = bool (ProgramMaker::*)();
  struct Entry {
    llvm::StringRef name;
    Maker make;
  };
  static const std::vector<Entry> &makers();

  Program finish();

  // Sources.
  mlir::Value addInput(interp::Tensor tensor);
  /// A new input, weight or constant.
  mlir::Value fresh(const Shape &shape, mlir::Type element);
  /// A value of that type: one that is there, or a new one. With `exact`, one that operators that jump may see.
  mlir::Value get(const Shape &shape, mlir::Type element, bool exact = false);
  /// Like get, but all elements at least 1/8.
  mlir::Value getPositive(const Shape &shape);
  /// An integer input in [low, high].
  mlir::Value getIndices(const Shape &shape, int64_t low, int64_t high);
  mlir::Value scalar(int64_t value);
  Shape shape(int64_t minRank = 1, int64_t maxRank = 4);
  int64_t size() { return random.pick(sizes); }
  /// All floats are f64: constants that partitioning makes (an epsilon, 1 / n) are then as exact as the rest.
  mlir::Type f64() { return builder.getF64Type(); }
  mlir::Type i1() { return builder.getI1Type(); }
  mlir::Type integer() { return builder.getIntegerType(random.chance(70) ? 64 : 32); }
  mlir::Type number() { return random.chance(75) ? f64() : integer(); }
  /// A shape that broadcasts to `shape`.
  Shape narrower(const Shape &shape, bool dropLeading = true);
  const Known &known(mlir::Value value) const;
  Shape shapeOf(mlir::Value value) const { return known(value).tensor.shape; }

  /// Computes a new operation; takes it back when a result is not finite or too large.
  bool keep(mlir::Operation *op);
  template <typename Op, typename... Args> bool emit(Args &&...args) {
    mlir::OperationState state(builder.getUnknownLoc(), Op::getOperationName());
    Op::build(builder, state, std::forward<Args>(args)...);
    return keep(builder.create(state));
  }

  template <typename Op> bool unary();
  template <typename Op> bool unaryOfNumber();
  template <typename Op> bool jumpingUnary();
  template <typename Op> bool positiveUnary();
  template <typename Op> bool binary();
  template <typename Op> bool logical();
  bool notOp(), gelu(), leakyRelu(), elu(), hardSigmoid(), div(), pow(), mod(), compare(), select(), cast();
  bool weight(), constant(), iota(), reshape(), transpose(), broadcast(), slice(), sliceAt(), concat(), pad();
  bool gather(), gatherElements(), gatherNd(), scatterNd(), reduce(), argReduce(), topK(), cumSum();
  bool matmul(), packedMatmul(), expertMatmul(), experts(), softmax(), layerNorm(), lrn(), groupNorm(), attention(),
      rotary();
  bool conv(), convTranspose(), maxPool(), avgPool(), packedConv(), depthwiseConv();
  struct Windows {
    Shape kernel, strides, dilations, begin, end;
  };
  Windows windows(llvm::ArrayRef<int64_t> spatial);
  int64_t axisOf(const Shape &shape) { return random.below(static_cast<int64_t>(shape.size())); }

  bool isExactValue(double value) const;

  Random random;
  Limits limits;
  mlir::OpBuilder builder;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp main;
  interp::Tensors inputs;
  std::vector<Known> values;
  Shape sizes;
};

} // namespace mpopt::fuzz

#endif // MPOPT_TEST_FUZZ_PROGRAMMAKER_H
