#ifndef MPOPT_LIB_CODEGEN_EMITTER_H
#define MPOPT_LIB_CODEGEN_EMITTER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mpopt/Codegen/Codegen.h"
#include <functional>

namespace mpopt::codegen {

/// The type in which elements of `type` are held in registers: f16 and bf16 as f32, integers without sign.
mlir::Type registerType(mlir::Type type);
/// Bytes of one element in memory.
int64_t elementBytes(mlir::Type type);
/// Row-major strides, in elements.
llvm::SmallVector<int64_t> denseStrides(llvm::ArrayRef<int64_t> shape);

/// Builds the loops, vectors and memory accesses of one kernel: scf loops on i64, one-dimensional vectors, arith and math, and
/// LLVM pointers.
class Emitter {
public:
  /// `builder` stands in the entry block of the kernel's function.
  Emitter(mlir::OpBuilder builder, mlir::Location loc, const CpuTarget &target)
      : b(builder), loc(loc), target(target), entry(builder.getInsertionBlock()) {}

  mlir::OpBuilder b;
  mlir::Location loc;
  const CpuTarget &target;

  // Index arithmetic, folded where it is constant.
  mlir::Value i64(int64_t value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, int64_t y);
  mlir::Value div(mlir::Value x, int64_t y);
  mlir::Value rem(mlir::Value x, int64_t y);
  mlir::Value minimum(mlir::Value x, mlir::Value y);
  mlir::Value maximum(mlir::Value x, mlir::Value y);
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value x, mlir::Value y);
  mlir::Value both(mlir::Value x, mlir::Value y);

  // Values in registers; `type` is a scalar or vector type.
  mlir::Value constant(mlir::Type type, double value);
  /// A vector of `lanes` equal elements, or the scalar itself for one lane.
  mlir::Value splat(mlir::Value value, int64_t lanes);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  mlir::Value lane(mlir::Value vector, int64_t index);
  mlir::Value fromLanes(llvm::ArrayRef<mlir::Value> lanes);
  /// The first `lanes` lanes; a scalar for one.
  mlir::Value firstLanes(mlir::Value vector, int64_t lanes);
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value reduceLanes(mlir::vector::CombiningKind kind, mlir::Value vector);

  // Memory. `index` counts elements; values come and go in their register type.
  mlir::Value address(mlir::Value pointer, mlir::Type element, mlir::Value index);
  /// `pointer` moved by `index` elements, maybe to where nothing may be read.
  mlir::Value moved(mlir::Value pointer, mlir::Type element, mlir::Value index);
  mlir::Value load(mlir::Value pointer, mlir::Type element, mlir::Value index, int64_t lanes);
  void store(mlir::Value value, mlir::Value pointer, mlir::Type element, mlir::Value index);
  /// Loads `lanes` elements of f32 or f64 into a vector of `width` lanes, the others zero.
  mlir::Value loadPartial(mlir::Value pointer, mlir::Type element, mlir::Value index, int64_t lanes, int64_t width);
  /// A temporary of the kernel's frame.
  mlir::Value stack(mlir::Type element, int64_t elements);
  int64_t stackBytes() const { return usedStack; }

  // Control.
  using Body = std::function<void(mlir::Value)>;
  using CarryBody = std::function<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)>;
  void loop(int64_t from, int64_t to, int64_t step, const Body &body);
  void loop(mlir::Value from, mlir::Value to, int64_t step, const Body &body);
  llvm::SmallVector<mlir::Value> loop(mlir::Value from, mlir::Value to, int64_t step, mlir::ValueRange carried,
                                      const CarryBody &body);
  llvm::SmallVector<mlir::Value> loop(int64_t from, int64_t to, int64_t step, mlir::ValueRange carried,
                                      const CarryBody &body);
  /// A nest over `shape`; dimensions of size 1 get no loop.
  void nest(llvm::ArrayRef<int64_t> shape, const std::function<void(llvm::ArrayRef<mlir::Value>)> &body);
  /// Covers [0, size) by runs of vectorWidth() lanes and one shorter rest.
  void chunks(int64_t size, const std::function<void(mlir::Value start, int64_t lanes)> &body);
  mlir::Value branch(mlir::Value condition, const std::function<mlir::Value()> &yes,
                     const std::function<mlir::Value()> &no);

private:
  mlir::Block *entry;
  int64_t usedStack = 0;
};

/// The i64 constant that `value` is, if it is one.
std::optional<int64_t> constantOf(mlir::Value value);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_EMITTER_H
