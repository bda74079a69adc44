#include "ChoosePipeline.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Partition/Passes.h"

using namespace mlir;

namespace mpopt {
namespace {

constexpr int64_t kMostStages = 16, kMostMicrobatches = 8;

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
  Chooser(ModuleOp module, const planning::PlanOptions &options, std::vector<PipelineCandidate> &tried)
      : module(module), options(options), tried(tried), batch(batchOf(module)) {}

  std::optional<ChosenPipeline> run() {
    bool forMemory = options.objective == "memory";
    consider(1, 1);
    if (forMemory)
      considerMore(1, /*untilOneExists=*/false);
    for (int64_t stages = 2; stages <= std::min(options.devices, kMostStages); ++stages) {
      if (options.devices % stages != 0 || (options.objective == "latency" && tried[0].exists))
        continue;
      if (!consider(stages, 1) || forMemory)
        considerMore(stages, /*untilOneExists=*/!forMemory);
    }
    if (best && options.explain && !explainsAll()) // what is not chosen needs no explaining
      chosen = plan(tried[*best].strategy, /*explain=*/true);
    return std::move(chosen);
  }

private:
  /// Microbatches in powers of two.
  void considerMore(int64_t stages, bool untilOneExists) {
    for (int64_t count = 2; count <= kMostMicrobatches && batch % count == 0; count *= 2)
      if (consider(stages, count) && untilOneExists)
        return;
  }

  bool consider(int64_t stages, int64_t microbatches) {
    PipelineCandidate &candidate = tried.emplace_back();
    candidate.strategy.stages = stages;
    candidate.strategy.microbatches = microbatches;
    candidate.strategy.hasRoles = false;
    std::optional<ChosenPipeline> planned = plan(candidate.strategy, options.explain && explainsAll());
    if (!planned)
      return false;
    candidate.exists = true;
    candidate.seconds = planned->report.predictedSeconds;
    candidate.memoryBytes = planned->report.memoryBytes;
    if (!best || isBetter(candidate, tried[*best])) {
      best = tried.size() - 1;
      chosen = std::move(planned);
    }
    return true;
  }

  /// Whether most likely a single candidate exists.
  bool explainsAll() const { return options.objective == "latency"; }

  std::optional<ChosenPipeline> plan(const planning::Strategy &strategy, bool explain) {
    ChosenPipeline result;
    result.module = module.clone();
    ScopedDiagnosticHandler quiet(module.getContext(), [](Diagnostic &) { return success(); });
    planning::PlanOptions own = options;
    if (strategy.stages > 1 || strategy.microbatches > 1)
      own.strategy = result.strategy = strategy;
    own.explain = explain;
    if (strategy.microbatches > 1) {
      PassManager manager(module.getContext());
      manager.addPass(partition::createSplitMicrobatches({strategy.microbatches}));
      if (failed(manager.run(*result.module)))
        return std::nullopt;
    }
    if (failed(planning::planModule(*result.module, own, result.report)))
      return std::nullopt;
    return result;
  }

  /// By more than a trifle, so that more stages or microbatches are worth it.
  bool isBetter(const PipelineCandidate &a, const PipelineCandidate &b) const {
    constexpr double kTrifle = 0.99;
    auto less = [](double x, double y) { return x < kTrifle * y; };
    if (options.objective != "memory")
      return less(a.seconds, b.seconds);
    auto bytes = [](const PipelineCandidate &candidate) { return static_cast<double>(candidate.memoryBytes); };
    return less(bytes(a), bytes(b)) || (!less(bytes(b), bytes(a)) && less(a.seconds, b.seconds));
  }

  ModuleOp module;
  const planning::PlanOptions &options;
  std::vector<PipelineCandidate> &tried;
  std::optional<size_t> best; ///< In `tried`.
  std::optional<ChosenPipeline> chosen;
  int64_t batch;
};

} // namespace

bool choosesPipeline(const planning::PlanOptions &options) {
  return !options.strategy && options.pins.empty() && options.nodePins.empty() && !options.fixed && options.devices > 1;
}

std::optional<ChosenPipeline> choosePipeline(ModuleOp module, const planning::PlanOptions &options,
                                             std::vector<PipelineCandidate> &tried) {
  return Chooser(module, options, tried).run();
}

} // namespace mpopt
