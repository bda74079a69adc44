#include "Settle.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

void mpopt::nn::rewriteUntilSettled(Operation *op, RewritePatternSet patterns, StringRef pass) {
  if (failed(applyPatternsGreedily(op, std::move(patterns))))
    op->emitWarning()
        << "pass " << pass
        << " does not settle on this model; results are right, but the plan may be slower; please report it";
}
