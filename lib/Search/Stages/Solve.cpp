#include "Compose.h"
#include "Cuts.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace mpopt::search {

namespace {

/// How close the slowest stage is bracketed by halving before it is lowered stage by stage.
constexpr double kBracket = 1.002;
constexpr double kFirst = 1.02;
constexpr double kGrowth = 1.2;
constexpr double kLoosest = 10;

/// Finds the pipeline of least cost over given cuts. The cost is a sum plus (microbatches - 1) times a maximum: for a bound on the maximum,
/// the least sum comes from composing. The least bound that allows a pipeline is found first, by halving; then bounds between it and the
/// greatest that can still pay are tried from above, each answer lowering the next bound.
class Descent {
public:
  Descent(const StageProblem &problem, Composer &composer, double gain, double below)
      : weight(static_cast<double>(problem.microbatches - 1)), composer(composer), gain(gain), best(below),
        leastSum(composer.leastSum()) {}

  Composer::Pipeline run() {
    if (weight == 0)
      tryBound(kForbidden);
    else if (double least = leastBound(); least < kForbidden)
      tradeDown(least);
    return answer;
  }

private:
  /// No pipeline with a slower stage costs less than the best one.
  double worthwhile() const { return std::min((best - leastSum) / weight, best / (weight + 1)) * (1 - gain); }

  /// The slowest stage of what was found, or infinity.
  double tryBound(double most) {
    Composer::Pipeline pipeline = composer.compose(most);
    if (pipeline.pieces.empty())
      return kForbidden;
    found = pipeline.sum;
    double cost = pipeline.sum + weight * pipeline.slowest, slowest = pipeline.slowest;
    if (cost < best) {
      best = cost;
      answer = std::move(pipeline);
    }
    return slowest;
  }

  /// Some pipeline, or infinity: nearly balanced ones are looked for first, since few stages keep within a tight bound.
  double anyPipeline() {
    if (best < kForbidden)
      return tryBound(worthwhile());
    double slowest = kForbidden, low = composer.leastSlowest();
    for (double bound = low * kFirst; bound < low * kLoosest && slowest == kForbidden; bound *= kGrowth)
      slowest = tryBound(bound);
    return slowest < kForbidden ? slowest : tryBound(kForbidden);
  }

  double leastBound() {
    double low = composer.leastSlowest(), high = anyPipeline();
    if (high == kForbidden)
      return kForbidden;
    while (high > low * std::max(kBracket, 1 + gain)) {
      double middle = std::sqrt(std::max(low, high * 0.01) * high), slowest = tryBound(middle);
      (slowest < kForbidden ? high : low) = slowest < kForbidden ? slowest : middle;
    }
    for (double slowest = high; slowest < kForbidden; slowest = tryBound(high * (1 - gain)))
      high = slowest;
    return high;
  }

  void tradeDown(double least) {
    leastSum = composer.leastSum();
    for (double bound = worthwhile(); bound > least;) {
      double slowest = tryBound(bound);
      if (slowest == kForbidden)
        return;
      leastSum = std::max(leastSum, found);
      bound = std::min(slowest * (1 - gain), worthwhile());
    }
  }

  double weight;
  Composer &composer;
  double gain;
  double best;
  double leastSum;
  double found = 0; ///< Sum of the pipeline that was found last.
  Composer::Pipeline answer;
};

/// Solves by given ways and memory, from a few cuts to all.
class Refinement {
public:
  Refinement(const StageProblem &problem, const StageOptions &options)
      : problem(problem), options(options), composer(problem, options) {}

  std::optional<StageSolution> run() {
    Cuts grid = gridCuts(problem, options);
    if (grid.step > 1 && problem.minStages == problem.maxStages()) {
      Cuts even = evenCuts(problem, options);
      if (auto found = solveOn(std::move(even.layersBefore), options.below))
        return refined(std::move(found), even.step);
    }
    return refined(solveOn(std::move(grid.layersBefore), options.below), grid.step);
  }

private:
  std::optional<StageSolution> refined(std::optional<StageSolution> best, int64_t step) {
    while (best && step > 1) {
      step /= 2;
      while (auto better = solveOn(cutsAround(problem, *best, step), best->cost * (1 - options.gain)))
        best = std::move(better);
    }
    return best;
  }

  std::optional<StageSolution> solveOn(std::vector<int64_t> cuts, double below) {
    composer.setCuts(std::move(cuts));
    Composer::Pipeline found = Descent(problem, composer, options.gain, below).run();
    return found.pieces.empty() ? std::nullopt : std::optional(composer.unfold(found));
  }

  const StageProblem &problem;
  const StageOptions &options;
  Composer composer;
};

} // namespace

Result<StageSolution> solveStages(const StageProblem &problem, const StageOptions &options) {
  if (Status status = check(problem); !status)
    return tl::unexpected<Error>(status.error());
  if (std::optional<StageSolution> solution = Refinement(problem, options).run())
    return std::move(*solution);
  return error("stages: no pipeline fits the memory" +
               std::string(options.below < kForbidden ? " and costs less than what is known" : ""));
}

} // namespace mpopt::search
