#include "Fill.h"
#include "StageKit.h"
#include "mpopt/Cost/Training/Pipeline.h"
#include "mpopt/Cost/Training/Traffic.h"

#include <algorithm>
#include <limits>

namespace mpopt::search {

using cost::Schedule;

namespace {

/// Trades of memory for time that are kept while stages are cut. What each recomputes is found exactly afterwards.
constexpr size_t kPoints = 12;
/// What the stages' own costs are good for.
constexpr double kGain = 5e-4;
/// Most stages of different sizes, and most parts that the devices are dealt out in to them.
constexpr int64_t kMixedStages = 8, kMixedParts = 16;
/// Layouts of a stage of one size that are told apart.
constexpr size_t kMixedLayouts = 3;

std::optional<StageSolution> solved(const StageProblem &problem, double below) {
  auto solution = solveStages(problem, {.points = kPoints, .gain = kGain, .below = below});
  return solution ? std::optional(std::move(*solution)) : std::nullopt;
}

/// Solves with more and more ways to recompute: that needs working memory of its own, so it is first left out, then allowed unless the stages
/// are as good as without a limit on memory. `problemOf(ways)` makes the problem.
template <typename ProblemOf> std::optional<StageSolution> solveWays(size_t mostWays, ProblemOf problemOf) {
  StageProblem plain = problemOf(1);
  std::optional<StageSolution> best = solved(plain, kForbidden);
  plain.memoryBytes = std::numeric_limits<double>::max();
  bool limited = mostWays > 1 && (!best || solved(plain, best->cost * (1 - kGain)));
  for (size_t ways = 2; limited && ways <= mostWays; ++ways)
    if (auto better = solved(problemOf(ways), best ? best->cost * (1 - kGain) : kForbidden))
      best = std::move(better);
  return best;
}

/// Decides on recomputation and prices.
std::optional<TrainingCandidate> finish(const TrainingQuery &query, const StageKit &kit, Schedule schedule,
                                        int64_t microbatches, std::vector<OpenStage> stages) {
  auto count = static_cast<int64_t>(stages.size());
  TrainingCandidate candidate;
  candidate.schedule = schedule;
  candidate.microbatches = microbatches;
  for (int64_t i = 0; i < count; ++i) {
    OpenStage &open = stages[i];
    auto chunks = static_cast<int64_t>(open.stage.chunks.size());
    if (!kit.recompute(open, cost::heldMicrobatches(schedule, i, count, microbatches, chunks)))
      return std::nullopt;
    candidate.stages.push_back(std::move(open.stage));
  }
  if (candidate.stages.empty())
    return std::nullopt;
  candidate.price = priceCandidate(query, candidate);
  if (candidate.price.memory.fit > query.fit)
    return std::nullopt;
  return candidate;
}

class Filler {
public:
  Filler(const TrainingQuery &query, const Frame &frame)
      : query(query), frame(frame), plan(frame.plan(query)), kit(query, frame.microbatches) {}

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
  std::optional<TrainingCandidate> priced(std::vector<OpenStage> stages) {
    return finish(query, kit, frame.schedule, frame.microbatches, std::move(stages));
  }

  OpenStage newStage(size_t index) const {
    OpenStage open{{}, frame.cell};
    open.stage.layout = plan;
    open.stage.firstDevice = int64_t(index) * cost::stageDistance(plan);
    return open;
  }

  std::vector<OpenStage> evenStages() const {
    std::vector<OpenStage> stages;
    for (int64_t stage = 0; stage < frame.pp; ++stage)
      stages.push_back(newStage(stage));
    int64_t first = 0, chunk = 0;
    for (int64_t count : cost::layersOfChunks(query.shape.layers, frame.pp * frame.interleave)) {
      stages[chunk++ % frame.pp].stage.chunks.push_back({first, count});
      first += count;
    }
    return stages;
  }

  std::vector<OpenStage> cutStages() const {
    std::vector<OpenStage> stages;
    if (auto best = solveWays(kit.recomputations().size(), [&](size_t ways) { return problem(ways); }))
      for (const Stage &found : best->stages) {
        stages.push_back(newStage(stages.size()));
        stages.back().stage.chunks = {{found.first, found.count}};
      }
    return stages;
  }

  StageProblem problem(size_t ways) const {
    StageProblem problem;
    problem.runs = kit.runs();
    problem.places = {kit.place(*frame.cell, plan, ways)};
    problem.places[0].devices = 1; // of a stage's worth
    problem.devices = problem.minStages = frame.pp;
    problem.microbatches = frame.microbatches;
    problem.held.clear();
    for (int64_t behind = 0; behind < frame.pp; ++behind)
      problem.held.push_back(
          cost::heldMicrobatches(frame.schedule, frame.pp - 1 - behind, frame.pp, frame.microbatches, 1)[0]);
    problem.memoryBytes = kit.room(*frame.cell, plan);
    return problem;
  }

  const TrainingQuery &query;
  const Frame &frame;
  cost::TrainingPlan plan;
  StageKit kit;
};

class MixedFiller {
public:
  MixedFiller(const TrainingQuery &query, Cells &cells, const Frame &frame)
      : query(query), cells(cells), frame(frame), samples(frame.dp * frame.cell->plan().microbatch),
        kit(query, frame.microbatches) {}

  std::optional<TrainingCandidate> run() {
    int64_t part = query.devices;
    for (int64_t divisor : divisorsOf(query.devices))
      if (query.devices / divisor <= kMixedParts)
        part = std::min(part, divisor);
    for (int64_t devices = part; devices <= query.devices; devices += part)
      addLayouts(devices);
    std::vector<OpenStage> stages;
    if (layouts.empty())
      return std::nullopt;
    if (auto best = solveWays(kit.recomputations().size(), [&](size_t ways) { return problem(ways); }))
      stages = open(*best);
    return finish(query, kit, Schedule::OneForwardOneBackward, frame.microbatches, std::move(stages));
  }

private:
  struct Layout {
    cost::TrainingPlan plan;
    const Cell *cell = nullptr;
    double seconds = 0;
  };

  /// The fastest layouts of a stage of so many devices.
  void addLayouts(int64_t devices) {
    std::vector<Layout> found;
    for (int64_t tp : divisorsOf(devices))
      for (int64_t cp : divisorsOf(devices / tp)) {
        int64_t dp = devices / tp / cp;
        if (query.shape.heads % tp || query.shape.sequence % cp || samples % dp)
          continue;
        const Cell *cell = cells.get(tp, cp, 1, samples / dp);
        if (!cell)
          continue;
        Frame layout = frame;
        layout.cell = cell;
        layout.dp = dp;
        layout.pp = layout.interleave = 1;
        layout.schedule = Schedule::OneForwardOneBackward;
        const cost::PartSeconds &all = cell->whole[0].seconds;
        found.push_back({layout.plan(query), cell, all.forward + all.backward()});
      }
    std::sort(found.begin(), found.end(), [](const Layout &a, const Layout &b) {
      return std::tie(a.seconds, a.plan.tp, a.plan.cp) < std::tie(b.seconds, b.plan.tp, b.plan.cp);
    });
    found.resize(std::min(found.size(), kMixedLayouts));
    layouts.insert(layouts.end(), found.begin(), found.end());
  }

  StageProblem problem(size_t ways) const {
    StageProblem problem;
    problem.runs = kit.runs();
    problem.memoryBytes = kForbidden;
    for (const Layout &layout : layouts) {
      problem.places.push_back(kit.place(*layout.cell, layout.plan, ways));
      problem.memoryBytes = std::min(problem.memoryBytes, kit.room(*layout.cell, layout.plan));
    }
    problem.devices = query.devices;
    problem.microbatches = frame.microbatches;
    problem.held.clear();
    int64_t most = std::min({kMixedStages, query.shape.layers, query.devices});
    for (int64_t behind = 0; behind < most; ++behind)
      problem.held.push_back(std::min(behind + 1, frame.microbatches));
    return problem;
  }

  std::vector<OpenStage> open(const StageSolution &solution) const {
    std::vector<OpenStage> stages;
    int64_t firstDevice = 0;
    for (const Stage &found : solution.stages) {
      const Layout &layout = layouts[found.place];
      OpenStage open{{}, layout.cell};
      open.stage.layout = layout.plan;
      open.stage.layout.pp = static_cast<int64_t>(solution.stages.size());
      open.stage.chunks = {{found.first, found.count}};
      open.stage.firstDevice = firstDevice;
      firstDevice += cost::stageDistance(layout.plan);
      stages.push_back(std::move(open));
    }
    return stages;
  }

  const TrainingQuery &query;
  Cells &cells;
  const Frame &frame;
  int64_t samples; ///< Of a pass, on all devices of a stage.
  StageKit kit;
  std::vector<Layout> layouts;
};

} // namespace

std::optional<TrainingCandidate> fill(const TrainingQuery &query, const Frame &frame) {
  return Filler(query, frame).run();
}

std::optional<TrainingCandidate> fillMixed(const TrainingQuery &query, Cells &cells, const Frame &frame) {
  return MixedFiller(query, cells, frame).run();
}

} // namespace mpopt::search
