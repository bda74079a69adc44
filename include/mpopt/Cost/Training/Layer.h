#ifndef MPOPT_COST_TRAINING_LAYER_H
#define MPOPT_COST_TRAINING_LAYER_H

#include "mpopt/Cost/Training/Transformer.h"
#include "mpopt/Machine/Stack.h"

namespace mpopt::cost {

/// What one pass over one microbatch asks of one device.
struct PassWork {
  double device = 0;   ///< Seconds of kernels.
  double traffic = 0;  ///< Seconds of collectives that kernels wait for.
  double launches = 0; ///< Kernels to start.

  PassWork &operator+=(const PassWork &other);
};

/// Forward pass, input gradients and weight gradients of a part of the model.
struct PartWork {
  PassWork forward;
  PassWork inputGradient;
  PassWork weightGradient;
};

/// Seconds of the three passes; inputGradient includes what is recomputed.
struct PartSeconds {
  double forward = 0;
  double inputGradient = 0;
  double weightGradient = 0;

  double backward() const { return inputGradient + weightGradient; }
};

/// Seconds of a part from its work: device and host side by side (overlapNorm). The backward pass is one queue of kernels; its seconds are
/// split in proportion to the work.
PartSeconds secondsOf(const machine::Stack &stack, const PartWork &work);

/// A product's seconds: arithmetic by tiles and waves (cost::matmulSeconds) over the stack's share, or its operands' way
/// through memory if longer. Rows of a matrix that are no multiple of 16 bytes keep tensor cores from full-width loads
/// (NVIDIA, Matrix Multiplication Background User's Guide); such a product runs at under a third of the rate.
double productSeconds(const machine::Machine &machine, const machine::Stack &stack, machine::DType type, int64_t batch,
                      int64_t m, int64_t n, int64_t k);

/// One layer: per matrix its forward product, input gradient and weight gradient as shapes of their own; attention,
/// fused or with its scores in memory; element-wise work by bytes (of a 16-bit layer per token: 22 h for norms,
/// residuals and dropouts, 12 h for query, key and value, 4 per feed-forward value; backward 1.7 times that); two
/// all-reduces per pass over tp (or a reduce-scatter and an all-gather each, the same bytes; Shoeybi et al. 2019,
/// Korthikanti et al. 2022), keys and values around the ring of cp, and tokens to and from experts.
PartWork layerWork(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                   const TrainingPlan &plan);

/// Seconds of one layer from its work: a pass takes (device^p + host^p)^(1/p) with p = stack.overlapNorm, part of its
/// kernels being bound by their launch and part not. A layer that the stack's profile covers takes the profile's time;
/// near the profile the work's time is corrected by what the neighbours in hidden, tp, microbatch and sequence
/// show, the correction fading over about an octave.
PartSeconds layerSeconds(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                         const TrainingPlan &plan);

/// As layerSeconds(), without the profile.
PartSeconds analyticLayerSeconds(const machine::Machine &machine, const machine::Stack &stack,
                                 const TransformerShape &shape, const TrainingPlan &plan);

/// Embedding on the first stage and logits with cross-entropy on the last.
PartSeconds embeddingSeconds(const machine::Machine &machine, const machine::Stack &stack,
                             const TransformerShape &shape, const TrainingPlan &plan);
PartSeconds logitSeconds(const machine::Machine &machine, const machine::Stack &stack, const TransformerShape &shape,
                         const TrainingPlan &plan);

/// Logits per token and rank, padding included.
int64_t localVocabulary(const machine::Stack &stack, const TransformerShape &shape, const TrainingPlan &plan);

} // namespace mpopt::cost

#endif // MPOPT_COST_TRAINING_LAYER_H
