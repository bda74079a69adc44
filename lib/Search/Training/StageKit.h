#ifndef MPOPT_LIB_SEARCH_TRAINING_STAGEKIT_H
#define MPOPT_LIB_SEARCH_TRAINING_STAGEKIT_H

#include "Cells.h"
#include "mpopt/Search/Stages.h"

namespace mpopt::search {

/// A stage of a plan in the making.
struct OpenStage {
  TrainingStage stage;
  const Cell *cell = nullptr;
};

/// What cutting stages needs to know of layers under a layout, and how little a stage must recompute.
class StageKit {
public:
  StageKit(const TrainingQuery &query, int64_t microbatches);

  const std::vector<cost::Recompute> &recomputations() const { return recomputes; }

  /// The model's layers: the first with the embedding, those in the middle, the last with the logits.
  std::vector<LayerRun> runs() const;
  /// Those kinds of layers under a layout, with the first few ways to recompute.
  Place place(const Cell &cell, const cost::TrainingPlan &plan, size_t ways) const;
  /// Bytes that a stage may take besides what the program reserves.
  double room(const Cell &cell, const cost::TrainingPlan &plan) const;
  /// Decides what the stage recomputes: the fastest mix of two ways that fits, by the microbatches that it holds of each chunk. False where
  /// nothing fits.
  bool recompute(OpenStage &open, const std::vector<int64_t> &held) const;

private:
  LayerTable table(const Cell &cell, const cost::TrainingPlan &plan, cost::LayerRange layer, size_t ways) const;
  double seconds(const cost::TrainingPlan &plan, const cost::PartSeconds &pass, double parameters) const;
  int64_t leastSmaller(OpenStage &open, const std::vector<int64_t> &held, cost::Recompute larger,
                       cost::Recompute smaller, int64_t most) const;
  double bytes(const OpenStage &open, const std::vector<int64_t> &held) const;

  const TrainingQuery &query;
  int64_t microbatches;
  std::vector<cost::Recompute> recomputes;
  double limit;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_TRAINING_STAGEKIT_H
