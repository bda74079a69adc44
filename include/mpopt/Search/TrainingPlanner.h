#ifndef MPOPT_SEARCH_TRAININGPLANNER_H
#define MPOPT_SEARCH_TRAININGPLANNER_H

#include "mpopt/Cost/Training/Step.h"
#include "mpopt/Search/Problem.h"

#include <array>
#include <optional>
#include <string_view>

namespace mpopt::search {

/// What a user fixes of a layout; the rest is chosen.
struct LayoutPins {
  std::optional<int64_t> tp, pp, dp, cp, ep, microbatch, interleave;
  std::optional<cost::StateSharding> sharding;
  std::optional<cost::Recompute> recompute;
  std::optional<cost::Schedule> schedule;
};

/// Reads "dp=8,tp=4,pp=2,cp=1,ep=1,mb=2,interleave=2,zero=1,recompute=full,schedule=1f1b", any part of it. Errors: an unknown or repeated key,
/// a value that the key does not have.
Result<LayoutPins> parseLayoutPins(std::string_view text);

/// Why there is no plan.
struct NoPlan : Error {
  NoPlan(Error error, bool lacksMemory = false) : Error(std::move(error)), lacksMemory(lacksMemory) {}

  bool lacksMemory; ///< Whether there is one for devices with more memory.
};

struct TrainingQuery {
  const machine::Machine *machine = nullptr;
  const machine::Stack *stack = nullptr;
  cost::TransformerShape shape;
  int64_t devices = 1;     ///< All of them are used.
  int64_t globalBatch = 1; ///< Sequences per step.
  cost::Precision precision = cost::Precision::Mixed16;
  machine::DType type = machine::DType::BF16;
  LayoutPins pins;
  cost::Fit fit = cost::Fit::Fits; ///< The least certainty that a plan fits the memory.
  size_t runnersUp = 4;
};

/// One stage of a plan. Of the layers of each chunk, the first `recomputed[Full]` recompute everything, the next
/// `recomputed[Selective]` their attention scores, the others nothing.
struct TrainingStage {
  cost::TrainingPlan layout;
  std::vector<cost::LayerRange> chunks;
  std::array<int64_t, 3> recomputed{}; ///< Layers of each chunk by cost::Recompute.
  int64_t firstDevice = 0;
};

struct TrainingCandidate {
  cost::Schedule schedule = cost::Schedule::OneForwardOneBackward;
  int64_t microbatches = 1;
  std::vector<TrainingStage> stages;
  cost::StepPrice price;

  int64_t interleave() const { return static_cast<int64_t>(stages.front().chunks.size()); }
  /// Whether all stages share their devices out in the same way.
  bool isUniform() const;
};

struct TrainingAnswer {
  /// The best plan, then the best ones of other ways to share the devices out, ascending in time.
  std::vector<TrainingCandidate> plans;
  double lowerBound =
      0; ///< Seconds; no plan takes less, by the same cost model: the work at its cheapest over all devices.
  int64_t layouts = 0; ///< Layouts that were told apart.
  int64_t priced = 0;  ///< Of those, the ones that were composed of stages and simulated; the others cannot be better.
};

/// The layout of least step time: pipeline stages and their layers, tensor, data, context and expert parallelism, microbatches, schedule,
/// recomputation and sharding of state, together. Layouts are ordered by an estimate that is at most a few percent from their price;
/// the stages of the promising ones are cut by solveStages() and simulated until no other can be better. Errors: pins that contradict each
/// other, the shape or the machine; nothing that fits the memory.
tl::expected<TrainingAnswer, NoPlan> planTraining(const TrainingQuery &query);

/// The price of a plan, from its stages alone.
cost::StepPrice priceCandidate(const TrainingQuery &query, const TrainingCandidate &candidate);

} // namespace mpopt::search

#endif // MPOPT_SEARCH_TRAININGPLANNER_H
