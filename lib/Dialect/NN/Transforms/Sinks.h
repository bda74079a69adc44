#ifndef MPOPT_LIB_DIALECT_NN_TRANSFORMS_SINKS_H
#define MPOPT_LIB_DIALECT_NN_TRANSFORMS_SINKS_H

#include "Match.h"
#include "mlir/IR/PatternMatch.h"

namespace mpopt::nn {

/// Softmax over scores and one more score per row, a sink, whose weight is dropped: slice(softmax(concat(scores, sink))).
struct Sunk {
  mlir::Value scores, sink; ///< [.., keys], [.., 1]
};

/// Scores and sink behind the input of a softmax.
std::optional<Sunk> matchSink(mlir::Value softmaxInput);

/// The softmax before a slice that drops its last weight, or null.
SoftmaxOp matchSinkWeightsDropped(mlir::Value value);

/// Keys or values [b, kv, s, d] with a zero one at the end, whose score is what the mask adds to it.
mlir::Value appendZeroKey(mlir::Value value, mlir::PatternRewriter &rewriter);

/// A mask of rank 4 at most, or null, for `keys` keys, with the sink's column at the end.
mlir::Value appendSink(mlir::Value mask, mlir::Value sink, int64_t keys, mlir::PatternRewriter &rewriter);

} // namespace mpopt::nn

#endif // MPOPT_LIB_DIALECT_NN_TRANSFORMS_SINKS_H
