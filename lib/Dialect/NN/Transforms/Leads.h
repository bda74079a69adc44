#ifndef MPOPT_LIB_DIALECT_NN_TRANSFORMS_LEADS_H
#define MPOPT_LIB_DIALECT_NN_TRANSFORMS_LEADS_H

#include "Match.h"
#include "mlir/IR/PatternMatch.h"

namespace mpopt::nn {

/// The dimensions before the last two, of attention's operands: batch and heads, merged or split.
using Lead = llvm::SmallVector<int64_t>;
inline Lead leadOf(mlir::Value value) { return Lead(shapeOf(value).drop_back(2)); }

/// Reshapes, unless a value has the shape already.
mlir::Value withShape(mlir::Value value, llvm::ArrayRef<int64_t> shape, mlir::PatternRewriter &rewriter);
mlir::Value withLead(mlir::Value value, llvm::ArrayRef<int64_t> lead, mlir::PatternRewriter &rewriter);

/// x of a reshape that only splits or merges the dimensions before the last two, or null.
mlir::Value matchLeadReshape(mlir::Value value);

/// A mask that broadcasts to scores with leading dimensions `from`, made to broadcast to the same scores with `to`.
mlir::Value adaptMask(mlir::Value mask, llvm::ArrayRef<int64_t> from, llvm::ArrayRef<int64_t> to,
                      mlir::PatternRewriter &rewriter);

} // namespace mpopt::nn

#endif // MPOPT_LIB_DIALECT_NN_TRANSFORMS_LEADS_H
