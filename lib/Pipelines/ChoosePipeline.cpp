#include "ChoosePipeline.h"
#include "PlanPipeline.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <limits>

using namespace mlir;

namespace mpopt {
namespace {

constexpr int64_t kMostStages = 16, kMostMicrobatches = 8;
constexpr int64_t kOpen = 0; // a number of stages that the planner chooses, with their sizes
constexpr double kTrifle = 0.99;

/// Rows of the first input that has any; 1 where none has.
int64_t batchOf(ModuleOp module) {
  if (auto main = module.lookupSymbol<func::FuncOp>("main"))
    for (Type type : main.getArgumentTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type); tensor && tensor.getRank() > 0)
        return tensor.getDimSize(0);
  return 1;
}

class Chooser {
public:
  Chooser(ModuleOp module, const planning::PlanOptions &options, const partition::WeightReader &read,
          std::vector<PipelineCandidate> &tried)
      : module(module), options(options), read(read), tried(tried), batch(batchOf(module)) {}

  std::optional<ChosenPipeline> run() {
    bool forMemory = options.objective == "memory";
    consider(1, 1);
    if (forMemory)
      considerMore(1, /*untilOneExists=*/false);
    if (options.objective == "latency" && tried[0].exists)
      considerForLatency();
    else
      considerAll(forMemory);
    if (best && options.explain && !explained) // what is not chosen needs no explaining
      chosen = plan(tried[*best].strategy, /*explain=*/true);
    return std::move(chosen);
  }

private:
  /// Every number of equal stages, and, with a number and sizes that the planner chooses, unequal ones.
  void considerAll(bool forMemory) {
    for (int64_t stages = 2; stages <= std::min(options.devices, kMostStages); ++stages)
      if (!haveOwnMeshes(stages) && (!consider(stages, 1) || forMemory))
        considerMore(stages, /*untilOneExists=*/!forMemory);
    if (!consider(kOpen, 1) || forMemory)
      considerMore(kOpen, /*untilOneExists=*/!forMemory);
  }

  /// A single step gains from stages only while several microbatches are under way, and never more than if they cost in proportion what the
  /// whole batch does. Stages of a number are planned only if some number of microbatches could make them win.
  void considerForLatency() {
    measureWork(chosen->report);
    for (int64_t stages = 2; batch % 2 == 0 && stages <= std::min(options.devices, kMostStages); ++stages) {
      if (haveOwnMeshes(stages) || !mayWin(stages) || !consider(stages, 1))
        continue;
      double pass = tried.back().leastPass;
      for (int64_t count = 2; count <= kMostMicrobatches && batch % count == 0; count *= 2) {
        double share = static_cast<double>(stages + count - 1) / static_cast<double>(stages * count);
        if (std::max(pass * share, leastStep(stages, count)) < kTrifle * leastSeconds())
          consider(stages, count);
      }
    }
  }

  void measureWork(const planning::PlanReport &report) {
    for (const planning::OpReport &op : report.ops) {
      arithmetic += op.arithmeticSeconds;
      launches += op.launchSeconds;
    }
  }

  bool mayWin(int64_t stages) const {
    for (int64_t count = 1; count <= kMostMicrobatches && batch % count == 0; count *= 2)
      if (leastStep(stages, count) < kTrifle * leastSeconds())
        return true;
    return false;
  }

  /// Seconds of a step if stages took nothing but the arithmetic of the plan without stages, spread evenly, and the start of each kernel once
  /// for every microbatch: no traffic, no collectives, no sends.
  double leastStep(int64_t stages, int64_t count) const {
    double passes = static_cast<double>(stages + count - 1);
    return arithmetic * passes / static_cast<double>(count) + launches * passes / static_cast<double>(stages);
  }

  double leastSeconds() const {
    double least = std::numeric_limits<double>::infinity();
    for (const PipelineCandidate &candidate : tried)
      if (candidate.exists)
        least = std::min(least, candidate.seconds);
    return least;
  }

  /// Microbatches in powers of two.
  void considerMore(int64_t stages, bool untilOneExists) {
    for (int64_t count = 2; count <= kMostMicrobatches && batch % count == 0; count *= 2)
      if (consider(stages, count) && untilOneExists)
        return;
  }

  /// Whether there is such a plan. Stages of a number that is left open may turn out equal, which is no candidate of its own.
  bool consider(int64_t stages, int64_t microbatches) {
    PipelineCandidate candidate;
    candidate.strategy.stages = stages;
    candidate.strategy.microbatches = microbatches;
    candidate.strategy.hasRoles = false;
    bool explain = options.explain && explainsFirst() && tried.empty();
    std::optional<ChosenPipeline> planned = plan(candidate.strategy, explain);
    if (planned) {
      candidate.exists = true;
      candidate.seconds = planned->report.predictedSeconds;
      candidate.leastPass = planned->report.lowerBoundSeconds;
      candidate.memoryBytes = planned->report.memoryBytes;
      if (planned->strategy)
        candidate.strategy = *planned->strategy;
    }
    if (stages == kOpen && (!candidate.exists || !haveOwnMeshes(candidate.strategy)))
      return candidate.exists;
    tried.push_back(candidate);
    if (candidate.exists && (!best || isBetter(candidate, tried[*best]))) {
      best = tried.size() - 1;
      chosen = std::move(planned);
      explained = explain;
    }
    return candidate.exists;
  }

  bool haveOwnMeshes(const planning::Strategy &strategy) const {
    planning::PlanOptions own = options;
    own.strategy = strategy;
    return planning::haveOwnMeshes(own);
  }
  bool haveOwnMeshes(int64_t stages) const {
    planning::Strategy strategy;
    strategy.stages = stages;
    return haveOwnMeshes(strategy);
  }

  /// Whether most likely the plan without stages is chosen.
  bool explainsFirst() const { return options.objective == "latency"; }

  std::optional<ChosenPipeline> plan(const planning::Strategy &strategy, bool explain) {
    ChosenPipeline result;
    result.module = module.clone();
    ScopedDiagnosticHandler quiet(module.getContext(), [](Diagnostic &) { return success(); });
    planning::PlanOptions own = options;
    if (strategy.stages != 1 || strategy.microbatches > 1)
      own.strategy = strategy;
    own.explain = explain;
    std::optional<StageRange> range;
    if (strategy.stages == kOpen)
      range = {2, std::min(options.devices, kMostStages)};
    if (failed(planPipeline(*result.module, own, read, result.report, range)))
      return std::nullopt;
    result.strategy = own.strategy;
    return result;
  }

  /// By more than a trifle, so that more stages or microbatches are worth it.
  bool isBetter(const PipelineCandidate &a, const PipelineCandidate &b) const {
    auto less = [](double x, double y) { return x < kTrifle * y; };
    if (options.objective != "memory")
      return less(a.seconds, b.seconds);
    auto bytes = [](const PipelineCandidate &candidate) { return static_cast<double>(candidate.memoryBytes); };
    return less(bytes(a), bytes(b)) || (!less(bytes(b), bytes(a)) && less(a.seconds, b.seconds));
  }

  ModuleOp module;
  const planning::PlanOptions &options;
  const partition::WeightReader &read;
  std::vector<PipelineCandidate> &tried;
  std::optional<size_t> best; ///< In `tried`.
  std::optional<ChosenPipeline> chosen;
  bool explained = false; ///< Whether what was chosen is.
  int64_t batch;
  double arithmetic = 0, launches = 0; ///< Seconds of a step without stages, per device.
};

} // namespace

bool choosesPipeline(const planning::PlanOptions &options) {
  return !options.strategy && options.pins.empty() && options.nodePins.empty() && !options.fixed && options.devices > 1;
}

std::optional<ChosenPipeline> choosePipeline(ModuleOp module, const planning::PlanOptions &options,
                                             const partition::WeightReader &read,
                                             std::vector<PipelineCandidate> &tried) {
  return Chooser(module, options, read, tried).run();
}

} // namespace mpopt
