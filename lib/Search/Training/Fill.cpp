#include "Fill.h"
#include "mpopt/Cost/Training/Pipeline.h"
#include "mpopt/Cost/Training/Traffic.h"
#include "mpopt/Search/Stages.h"

#include <algorithm>
#include <limits>

namespace mpopt::search {

using cost::LayerRange;
using cost::Recompute;
using cost::Schedule;
using cost::StateSharding;

namespace {

/// Trades of memory for time that are kept while stages are cut. What each recomputes is found exactly afterwards.
constexpr size_t kPoints = 12;
/// What the stages' own costs are good for.
constexpr double kGain = 5e-4;

std::vector<std::vector<int64_t>> heldBy(const Frame &frame) {
  std::vector<std::vector<int64_t>> held;
  for (int64_t stage = 0; stage < frame.pp; ++stage)
    held.push_back(cost::heldMicrobatches(frame.schedule, stage, frame.pp, frame.microbatches, frame.interleave));
  return held;
}

class Filler {
public:
  Filler(const TrainingQuery &query, const Frame &frame)
      : query(query), frame(frame), plan(frame.plan(query)), recomputes(recomputations(query)),
        limit(memoryLimit(query)), stateOfParameter(cost::stateBytes(*query.stack, plan)), held(heldBy(frame)) {}

  std::optional<TrainingCandidate> run() {
    std::optional<TrainingCandidate> best = priced(evenStages());
    if (frame.interleave == 1 && frame.pp > 1) {
      std::optional<TrainingCandidate> other = priced(cutStages());
      if (other && (!best || other->price.seconds < best->price.seconds))
        best = std::move(other);
    }
    return best;
  }

private:
  const cost::TrainingPrices &prices(Recompute recompute) const { return frame.cell->prices(recompute); }

  /// Stages with as little recomputation as their memory allows.
  std::optional<TrainingCandidate> priced(std::vector<TrainingStage> stages) {
    if (stages.empty())
      return std::nullopt;
    for (size_t stage = 0; stage < stages.size(); ++stage)
      if (!recompute(stages[stage], held[stage]))
        return std::nullopt;
    TrainingCandidate candidate;
    candidate.schedule = frame.schedule;
    candidate.microbatches = frame.microbatches;
    candidate.stages = std::move(stages);
    candidate.price = priceCandidate(query, candidate);
    if (candidate.price.memory.fit > query.fit)
      return std::nullopt;
    return candidate;
  }

  std::vector<TrainingStage> evenStages() const {
    std::vector<TrainingStage> stages;
    for (int64_t stage = 0; stage < frame.pp; ++stage)
      stages.push_back(newStage(stage));
    int64_t first = 0, chunk = 0;
    for (int64_t count : cost::layersOfChunks(query.shape.layers, frame.pp * frame.interleave)) {
      stages[chunk++ % frame.pp].chunks.push_back({first, count});
      first += count;
    }
    return stages;
  }

  /// Cut where solveStages() finds it best. Recomputing needs working memory of its own, so it is first left out, then allowed unless the
  /// stages are as good as without a limit on memory.
  std::vector<TrainingStage> cutStages() const {
    StageProblem plain = stageProblem(1);
    std::optional<StageSolution> best = solved(plain, kForbidden);
    plain.memoryBytes = std::numeric_limits<double>::max();
    bool limited = recomputes.size() > 1 && (!best || solved(plain, best->cost * (1 - kGain)));
    for (size_t ways = 2; limited && ways <= recomputes.size(); ++ways)
      if (auto better = solved(stageProblem(ways), best ? best->cost * (1 - kGain) : kForbidden))
        best = std::move(better);
    std::vector<TrainingStage> stages;
    if (best)
      for (const Stage &found : best->stages) {
        stages.push_back(newStage(stages.size()));
        stages.back().chunks = {{found.first, found.count}};
      }
    return stages;
  }

  static std::optional<StageSolution> solved(const StageProblem &problem, double below) {
    auto solution = solveStages(problem, {.points = kPoints, .gain = kGain, .below = below});
    return solution ? std::optional(std::move(*solution)) : std::nullopt;
  }

  /// With the first few ways to recompute.
  StageProblem stageProblem(size_t ways) const {
    StageProblem problem;
    int64_t layers = query.shape.layers;
    Place place;
    auto add = [&](LayerRange layer, int64_t count) {
      problem.runs.push_back({static_cast<int>(place.kinds.size()), count});
      place.kinds.push_back(tableOf(layer, ways));
    };
    add({0, 1}, 1);
    if (layers > 2)
      add({1, 1}, layers - 2);
    if (layers > 1)
      add({layers - 1, 1}, 1);
    place.enter = {query.stack->microbatchSeconds};
    place.leave = {0};
    problem.places.push_back(std::move(place));
    problem.devices = problem.minStages = frame.pp;
    problem.microbatches = frame.microbatches;
    problem.held.clear();
    for (int64_t behind = 0; behind < frame.pp; ++behind)
      problem.held.push_back(held[frame.pp - 1 - behind][0]);
    problem.memoryBytes = room();
    return problem;
  }

  double room() const {
    double bytes = limit - query.stack->reserveBytes;
    if (frame.sharding == StateSharding::Parameters)
      bytes -= 8 * prices(Recompute::None).parameters(1, 1);
    return std::max(0.0, bytes);
  }

  LayerTable tableOf(LayerRange layer, size_t ways) const {
    LayerTable table;
    table.ways.resize(1);
    for (size_t way = 0; way < ways; ++way) {
      const cost::TrainingPrices &made = prices(recomputes[way]);
      double parameters = made.parameters(layer.first, layer.count);
      table.ways[0].push_back({secondsOf(made.range(layer.first, layer.count), parameters),
                               stateOfParameter * parameters, made.activationBytes(layer.first, layer.count)});
      table.workingBytes = std::max(table.workingBytes, made.workingBytes(layer.first, layer.count));
    }
    return table;
  }

  /// Of a microbatch, with its share of what is done once a step.
  double secondsOf(const cost::PartSeconds &pass, double parameters) const {
    double update = parameters * query.stack->optimizerBytes / query.machine->device().memoryBandwidth;
    if (frame.sharding != StateSharding::None)
      update /= double(plan.dp * plan.cp);
    double scatter = cost::scatterSeconds(*query.machine, *query.stack, cost::dataGroup(plan), 2 * parameters);
    double exposed = frame.sharding == StateSharding::None || frame.sharding == StateSharding::Optimizer
                         ? 2 * scatter * (1 - query.stack->dataOverlap)
                         : 0;
    double compute = pass.forward + pass.backward();
    if (exposed == 0) // in every pass, partly beside it
      compute = std::max(compute, 3 * scatter) + query.stack->gatherExposed * std::min(compute, 3 * scatter);
    return compute + (update + exposed) / double(frame.microbatches);
  }

  /// The fastest mix of two ways of recomputation that fits.
  bool recompute(TrainingStage &stage, const std::vector<int64_t> &held) const {
    int64_t most = 0;
    for (const LayerRange &chunk : stage.chunks)
      most = std::max(most, chunk.count);
    double best = kForbidden;
    std::array<int64_t, 3> chosen{};
    for (size_t a = 0; a < recomputes.size(); ++a)
      for (size_t b = a; b < recomputes.size(); ++b)
        if (int64_t layers = leastSmaller(stage, held, recomputes[a], recomputes[b], most); layers >= 0) {
          setRecomputed(stage, recomputes[a], recomputes[b], layers, most);
          if (double seconds = chunkSeconds(stage); seconds < best) {
            best = seconds;
            chosen = stage.recomputed;
          }
        }
    stage.recomputed = chosen;
    return best < kForbidden;
  }

  /// How many layers of each chunk must go by `smaller` for the stage to fit, or -1.
  int64_t leastSmaller(TrainingStage &stage, const std::vector<int64_t> &held, Recompute larger, Recompute smaller,
                       int64_t most) const {
    auto fits = [&](int64_t layers) {
      setRecomputed(stage, larger, smaller, layers, most);
      return bytesOf(stage, held) <= room();
    };
    if (larger == smaller)
      return fits(0) ? 0 : -1;
    if (!fits(most))
      return -1;
    int64_t low = 0;
    for (int64_t high = most; low < high;) {
      int64_t middle = (low + high) / 2;
      if (fits(middle))
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }

  static void setRecomputed(TrainingStage &stage, Recompute larger, Recompute smaller, int64_t layers, int64_t most) {
    stage.recomputed = {};
    stage.recomputed[static_cast<size_t>(larger)] = most - layers;
    stage.recomputed[static_cast<size_t>(smaller)] += layers;
  }

  cost::MixedPrices mixed(const TrainingStage &stage) const {
    std::vector<cost::MixedPrices::Part> parts;
    for (Recompute recompute : {Recompute::Full, Recompute::Selective, Recompute::None})
      if (int64_t layers = stage.recomputed[static_cast<size_t>(recompute)]; layers > 0)
        parts.push_back({&prices(recompute), layers});
    return cost::MixedPrices(std::move(parts));
  }

  double bytesOf(const TrainingStage &stage, const std::vector<int64_t> &held) const {
    cost::MixedPrices made = mixed(stage);
    double bytes = 0, working = 0;
    for (size_t i = 0; i < stage.chunks.size(); ++i) {
      const LayerRange &chunk = stage.chunks[i];
      bytes += stateOfParameter * made.parameters(chunk.first, chunk.count) +
               double(held[i]) * made.activationBytes(chunk.first, chunk.count);
      working = std::max(working, made.workingBytes(chunk.first, chunk.count));
    }
    return bytes + working;
  }

  double chunkSeconds(const TrainingStage &stage) const {
    cost::MixedPrices made = mixed(stage);
    double seconds = 0;
    for (const LayerRange &chunk : stage.chunks) {
      cost::PartSeconds pass = made.range(chunk.first, chunk.count);
      seconds += pass.forward + pass.backward();
    }
    return seconds;
  }

  TrainingStage newStage(size_t index) const {
    TrainingStage stage;
    stage.layout = plan;
    stage.firstDevice = int64_t(index) * cost::stageDistance(plan);
    return stage;
  }

  const TrainingQuery &query;
  const Frame &frame;
  cost::TrainingPlan plan;
  std::vector<Recompute> recomputes;
  double limit;
  double stateOfParameter;
  std::vector<std::vector<int64_t>> held;
};

} // namespace

std::optional<TrainingCandidate> fill(const TrainingQuery &query, const Frame &frame) {
  return Filler(query, frame).run();
}

} // namespace mpopt::search
