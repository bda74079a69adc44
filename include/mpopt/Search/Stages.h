#ifndef MPOPT_SEARCH_STAGES_H
#define MPOPT_SEARCH_STAGES_H

#include "mpopt/Search/Problem.h"

#include <limits>

namespace mpopt::search {

/// One way to run one layer at one place.
struct LayerWay {
  double seconds = 0;    ///< Of one microbatch, forward and backward.
  double stateBytes = 0; ///< Weights, gradients, optimizer state.
  double heldBytes = 0;  ///< Per microbatch that the stage holds.
};

/// How a place runs one kind of layer: by the state (the sharding) of what comes in and of what goes out.
struct LayerTable {
  std::vector<std::vector<LayerWay>> ways; ///< [in * states + out]; empty where the layer cannot join the two.
  double workingBytes = 0;                 ///< Needed while the layer computes, once per stage.
  double enterSeconds = 0; ///< A stage that begins with such a layer takes so long to receive what its layers need,
  double enterBytes = 0;   ///< and holds so much for that.
};

inline constexpr int64_t kAllDevices = std::numeric_limits<int64_t>::max();

/// What a stage can run on: a number of devices and how they share the work of a layer.
struct Place {
  int64_t devices = 1;
  int states = 1;
  std::vector<LayerTable> kinds; ///< By kind of layer.
  std::vector<double>
      enter; ///< Seconds that a stage takes to bring what it receives into each state; kForbidden where it cannot.
  std::vector<double> leave; ///< The same for what it sends on.
  int64_t from = 0;          ///< The problem's devices that such a place may be part of, in the order of the stages:
  int64_t to = kAllDevices;  ///< from one up to before another.
};

/// Equal layers in a row.
struct LayerRun {
  int kind = 0;
  int64_t count = 1;
};

/// Cut a chain of layers into pipeline stages, give each a place and each of its layers a way, so that
///   sum of the stages' seconds + (microbatches - 1) * the slowest stage's seconds
/// is least (Zheng et al. 2022, equation 2), all devices are used, and no stage takes more than `memoryBytes`: its ways' state,
/// what it holds per microbatch and for what it receives, and the largest working memory of its layers.
struct StageProblem {
  std::vector<LayerRun> runs;
  std::vector<Place> places;
  int64_t devices = 1;
  int64_t microbatches = 1;
  std::vector<int64_t> held = {
      1}; ///< Microbatches that a stage holds, by the number of stages behind it. Its size is the most stages.
  int64_t minStages = 1;
  double memoryBytes = 0;
  std::vector<int> order; ///< The place of each stage, where that is given; then there are so many stages.

  int64_t layers() const;
  int64_t maxStages() const { return static_cast<int64_t>(held.size()); }
};

/// What one layer does: ways[in * states + out][way] of its table.
struct LayerChoice {
  int in = 0;
  int out = 0;
  int way = 0;

  bool operator==(const LayerChoice &) const = default;
};

struct Stage {
  int64_t first = 0;
  int64_t count = 0;
  int place = 0;
  double seconds = 0;
  double bytes = 0;
  std::vector<LayerChoice> layers;
};

struct StageSolution {
  std::vector<Stage> stages;
  double cost = kForbidden;
};

struct StageOptions {
  /// Cuts in a run that are looked at first, per stage; they are then refined around the best ones. A run that has no more layers than
  /// that is cut anywhere.
  int64_t cutsPerStage = 4;
  int64_t exactCuts = 24; ///< Runs up to this many layers are cut anywhere.
  /// Points that are kept of a trade of memory for time, at least 2; more than this are thinned out evenly.
  size_t points = 512;
  double gain =
      1e-9; ///< Share of the cost below which gains are not looked for; at least 1e-12, sums differ by rounding.
  double below = kForbidden; ///< Only answers that cost less are of interest.
};

/// Whether the problem is well-formed.
Status check(const StageProblem &problem);

/// Cost of a solution, computed from the problem alone. Errors: stages that do not cover the layers, devices or memory out of bounds, ways
/// that do not exist or do not join.
Result<double> verify(const StageProblem &problem, const StageSolution &solution);

/// A cheapest solution, but for options.gain; of long runs, a good one. Exact where every run is cut anywhere and no trade is thinned out. Layers of a stage
/// are composed by (min,+) products over states, in powers of two, so a run of n equal layers costs log n. Errors: check() fails; no
/// solution within memory, or none below options.below.
Result<StageSolution> solveStages(const StageProblem &problem, const StageOptions &options = {});

} // namespace mpopt::search

#endif // MPOPT_SEARCH_STAGES_H
