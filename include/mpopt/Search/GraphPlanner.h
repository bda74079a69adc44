#ifndef MPOPT_SEARCH_GRAPHPLANNER_H
#define MPOPT_SEARCH_GRAPHPLANNER_H

#include "mpopt/Search/Stages.h"
#include "mpopt/Search/TrainingPlanner.h"

#include <string>

namespace mpopt::search {

/// How what passes between two blocks lies on the devices of a stage.
enum class BlockState : uint8_t {
  Batch,      ///< Every device has its samples.
  Features,   ///< Every device has its channels or features of all samples.
  Replicated, ///< Every device has all.
};
inline constexpr int kBlockStates = 3;

/// One way to run a block for one microbatch on the devices of a stage.
struct BlockWay {
  std::string words; ///< "data-parallel", "column-parallel", ...
  cost::PartSeconds seconds;
  double parameters = 0; ///< On one device.
  double replicated = 0; ///< Of those, the ones whose gradients all devices sum.
  double activationBytes = 0;
};

/// By kBlockStates * before + after; empty where the block cannot join the two.
using BlockTable = std::vector<std::vector<BlockWay>>;

/// A chain of blocks between which one value passes: what the planner asks of a graph.
class GraphModel {
public:
  virtual ~GraphModel() = default;
  virtual std::vector<LayerRun> runs() const = 0; ///< Equal blocks have equal kinds.
  virtual int kinds() const = 0;
  /// Of `samples` samples on `devices` devices of one stage.
  virtual BlockTable table(int kind, int64_t devices, int64_t samples) const = 0;
  /// Of what passes into a block of that kind, for one sample.
  virtual double inputBytes(int kind) const = 0;
  /// Flops of a sample, forward.
  virtual double forwardFlops() const = 0;
};

struct GraphQuery {
  const machine::Machine *machine = nullptr;
  const machine::Stack *stack = nullptr;
  const GraphModel *model = nullptr;
  int64_t devices = 1;
  int64_t globalBatch = 1; ///< Samples per step.
  cost::Precision precision = cost::Precision::Float32;
  machine::DType type = machine::DType::BF16;
  cost::Fit fit = cost::Fit::Fits;
  size_t runnersUp = 4;
  std::optional<int64_t> stages, microbatch; ///< Pins; `microbatch` is all samples of one pass, whatever the devices.
  std::optional<cost::Schedule> schedule;
  std::optional<cost::StateSharding> sharding;
};

/// Blocks [first, first + words.size()) on `devices` devices from firstDevice on.
struct GraphStage {
  int64_t first = 0;
  int64_t devices = 1;
  int64_t firstDevice = 0;
  std::vector<std::string> words;
};

struct GraphCandidate {
  cost::Schedule schedule = cost::Schedule::OneForwardOneBackward;
  cost::StateSharding sharding = cost::StateSharding::None;
  int64_t microbatches = 1;
  std::vector<GraphStage> stages;
  cost::StepPrice price;
};

struct GraphAnswer {
  std::vector<GraphCandidate>
      plans; ///< Ascending in time: the best, and the best of other numbers of microbatches and stages.
  double lowerBound = 0;
};

/// The plan of least step time: stages of blocks on numbers of devices that may differ, and per block data or model parallelism, by
/// solveStages(). Errors: nothing fits the memory, or pins that nothing meets.
tl::expected<GraphAnswer, NoPlan> planGraph(const GraphQuery &query);

} // namespace mpopt::search

#endif // MPOPT_SEARCH_GRAPHPLANNER_H
