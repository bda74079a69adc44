#ifndef MPOPT_COST_TRAINING_TRANSFORMER_H
#define MPOPT_COST_TRAINING_TRANSFORMER_H

#include "mpopt/Machine/Machine.h"
#include "mpopt/Support/Result.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace mpopt::cost {

/// A decoder or encoder of equal layers.
struct TransformerShape {
  int64_t layers = 1;
  int64_t hidden = 1;
  int64_t heads = 1;
  int64_t kvHeads = 1;     ///< heads / kvHeads query heads share one key and value head.
  int64_t feedForward = 4; ///< Inner width of the feed-forward block.
  int64_t sequence = 1;
  int64_t vocabulary = 1;
  int64_t experts = 1;    ///< Feed-forward blocks per layer; 1 is a dense model.
  int64_t topExperts = 1; ///< Experts that each token visits.
  bool gated = false;     ///< Three feed-forward matrices (SwiGLU) instead of two.
  bool tied = true;       ///< One matrix for embedding and logits.
  bool causal = true;     ///< Fused attention skips the masked half.
};

enum class Recompute : uint8_t { None, Selective /* attention scores */, Full /* whole layers */ };
enum class Schedule : uint8_t { GPipe, OneForwardOneBackward /* interleaved where interleave > 1 */, ZeroBubbleH1 };

/// What of the training state is split over data-parallel ranks (ZeRO, Rajbhandari et al. 2020).
enum class StateSharding : uint8_t {
  None,
  Optimizer,  ///< ZeRO-1
  Gradients,  ///< ZeRO-2
  Parameters, ///< ZeRO-3, fully sharded data parallelism
};

enum class Precision : uint8_t {
  Float32,
  Mixed16, ///< 16-bit weights and arithmetic, 32-bit master weights and Adam moments.
  Pure16,  ///< 16-bit weights, gradients and moments.
  Mixed8,  ///< As Mixed16, linear layers in 8-bit arithmetic.
  Mixed4,  ///< As Mixed16, linear layers in 4-bit arithmetic.
};

/// As in files and on command lines: "none", "selective", "full"; "gpipe", "1f1b", "zb-h1"; "0" to "3".
std::string_view name(Recompute recompute);
std::string_view name(Schedule schedule);
std::string_view name(StateSharding sharding);

/// One classic layout of a training step. Ranks are laid out with tp innermost, then cp, dp and pp (Megatron-LM's
/// order); experts are spread over ranks of dp.
struct TrainingPlan {
  int64_t tp = 1;
  int64_t pp = 1;
  int64_t dp = 1;
  int64_t cp = 1;
  int64_t ep = 1;                ///< Divides dp.
  int64_t microbatch = 1;        ///< Sequences per device and pass.
  int64_t globalBatch = 1;       ///< Sequences per step.
  int64_t interleave = 1;        ///< Chunks of layers per stage.
  bool sequenceParallel = false; ///< Norms and dropouts split over tp too (Korthikanti et al. 2022).
  Schedule schedule = Schedule::OneForwardOneBackward;
  Recompute recompute = Recompute::None;
  StateSharding sharding = StateSharding::None;
  Precision precision = Precision::Mixed16;
  machine::DType type = machine::DType::BF16; ///< The 16-bit type of Mixed16 and Pure16.

  int64_t devices() const { return tp * pp * dp * cp; }
  int64_t microbatches() const { return globalBatch / (dp * microbatch); }
};

/// Says what is wrong with a plan for a shape, naming field and value: sizes below 1, splits that do not divide.
Status check(const TransformerShape &shape, const TrainingPlan &plan);

/// Parameters of one layer and of one embedding matrix; norms and biases are left out, being below 0.1 %.
double layerParameters(const TransformerShape &shape);
double embeddingParameters(const TransformerShape &shape);

/// Parameters of one layer that every token meets: of its experts, those visited.
double activeLayerParameters(const TransformerShape &shape);

/// Arithmetic of a step's products, forward and backward, recomputation left out: six per active parameter and token, and
/// 12 * layers * hidden * sequence per token for attention, masked or not, as is customary (Narayanan et al. 2021).
double modelFlops(const TransformerShape &shape, int64_t globalBatch);

/// Layers of each chunk in the order of the pipeline, stage i holding chunks i, i + pp, ... The remainder of an uneven
/// division goes to the middle, since the first chunk also embeds and the last one computes logits.
std::vector<int64_t> layersOfChunks(int64_t layers, int64_t chunks);

/// Element type of the linear layers' matrix products.
machine::DType linearType(const TrainingPlan &plan);
/// Element type of everything else: attention, logits, activations.
machine::DType wideType(const TrainingPlan &plan);

} // namespace mpopt::cost

#endif // MPOPT_COST_TRAINING_TRANSFORMER_H
