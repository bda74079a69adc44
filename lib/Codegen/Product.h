#ifndef MPOPT_LIB_CODEGEN_PRODUCT_H
#define MPOPT_LIB_CODEGEN_PRODUCT_H

#include "Emitter.h"

namespace mpopt::codegen {

/// A matrix product on register blocks: rows x (vectors of columns), the whole depth in one loop with the sums in registers.
struct Product {
  int64_t rows, columns, depth;
  mlir::Type type; ///< of the sums: f32, f64 or an integer
  /// Columns of one panel, a multiple of the vector width; rows are the inner loop, panels the outer one.
  int64_t panel;
  /// The element (row, k) of the left matrix.
  std::function<mlir::Value(mlir::Value row, mlir::Value k)> lhs;
  /// Prepares panel number `p` of `columns` columns from column `start`, before its row blocks; may be empty.
  std::function<void(mlir::Value p, mlir::Value start, int64_t columns)> preparePanel;
  /// Elements (k, start + offset ..) of the right matrix in panel `p`: one vector, of which `lanes` lanes will be used.
  std::function<mlir::Value(mlir::Value p, mlir::Value start, int64_t offset, mlir::Value k, int64_t lanes)> rhs;
  /// What the sums of (row, column ..) start from; zero if empty.
  std::function<mlir::Value(mlir::Value row, mlir::Value column, int64_t lanes)> init;
  /// Takes finished sums of (row, column ..): `lanes` lanes.
  std::function<void(mlir::Value row, mlir::Value column, int64_t lanes, mlir::Value sums)> finish;
  /// When given, memory for unfinished sums of (row, column ..): `keep` stores them, `kept` loads them into a whole vector. A deep product
  /// whose left matrix exceeds the cache then goes through the depth in parts, and reads the right matrix less often.
  std::function<void(mlir::Value row, mlir::Value column, int64_t lanes, mlir::Value sums)> keep;
  std::function<mlir::Value(mlir::Value row, mlir::Value column, int64_t lanes)> kept;
  /// Whether `finish` is long code: then the sums go through the stack and it stands in a loop instead of once per register.
  bool longFinish = false;
  /// When given, the number of rows, which is known only when the kernel runs: `rows` is the most that there can be, and `lhs` and
  /// `finish` may see rows past the last one, up to a whole block.
  mlir::Value rowCount;
};

void emitProduct(Emitter &e, const Product &product);

} // namespace mpopt::codegen

#endif // MPOPT_LIB_CODEGEN_PRODUCT_H
