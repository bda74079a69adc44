#ifndef MPOPT_LIB_DIALECT_NN_TRANSFORMS_SETTLE_H
#define MPOPT_LIB_DIALECT_NN_TRANSFORMS_SETTLE_H

#include "mlir/IR/PatternMatch.h"

namespace mpopt::nn {

/// Applies patterns until none changes anything. Should they never settle, the program is right all the same, as each pattern keeps its
/// meaning: a warning names the pass, and the program stays as it is then.
void rewriteUntilSettled(mlir::Operation *op, mlir::RewritePatternSet patterns, llvm::StringRef pass);

} // namespace mpopt::nn

#endif // MPOPT_LIB_DIALECT_NN_TRANSFORMS_SETTLE_H
