#include "Frames.h"
#include "mpopt/Cost/Training/Traffic.h"
#include "mpopt/Search/GraphPlanner.h"

#include <algorithm>
#include <limits>

namespace mpopt::search {

using cost::Schedule;
using cost::StateSharding;

namespace {

/// Stages of a graph; more would hold too little of it.
constexpr int64_t kMostStages = 16;
constexpr double kGain = 1e-4;

/// Blocks whose ways are settled.
class SettledPrices final : public cost::TrainingPrices {
public:
  SettledPrices(std::vector<BlockWay> ways, double boundary) : ways(std::move(ways)), boundary(boundary) {}

  int64_t layers() const override { return int64_t(ways.size()); }
  cost::PartSeconds range(int64_t first, int64_t count) const override {
    cost::PartSeconds sum;
    for (const BlockWay &way : part(first, count)) {
      sum.forward += way.seconds.forward;
      sum.inputGradient += way.seconds.inputGradient;
      sum.weightGradient += way.seconds.weightGradient;
    }
    return sum;
  }
  double parameters(int64_t first, int64_t count) const override { return total(first, count, &BlockWay::parameters); }
  double activationBytes(int64_t first, int64_t count) const override {
    return total(first, count, &BlockWay::activationBytes);
  }
  double workingBytes(int64_t first, int64_t count) const override {
    double most = 0; // the gradient of what is being computed
    for (const BlockWay &way : part(first, count))
      most = std::max(most, way.activationBytes);
    return most;
  }
  double boundaryBytes() const override { return boundary; }
  double replicatedParameters(int64_t first, int64_t count) const override {
    return total(first, count, &BlockWay::replicated);
  }

private:
  std::span<const BlockWay> part(int64_t first, int64_t count) const {
    int64_t begin = std::min(first, layers());
    return std::span(ways).subspan(begin, std::min(count, layers() - begin));
  }
  double total(int64_t first, int64_t count, double BlockWay::*field) const {
    double sum = 0;
    for (const BlockWay &way : part(first, count))
      sum += way.*field;
    return sum;
  }

  std::vector<BlockWay> ways;
  double boundary;
};

/// A number of samples per pass, a schedule and a sharding of state.
struct GraphFrame {
  int64_t samples = 1;
  int64_t microbatches = 1;
  Schedule schedule = Schedule::OneForwardOneBackward;
  StateSharding sharding = StateSharding::None;
};

class GraphPlanner {
public:
  explicit GraphPlanner(const GraphQuery &query) : query(query), runs(query.model->runs()) {
    TrainingQuery limits;
    limits.machine = query.machine;
    limits.fit = query.fit;
    limit = memoryLimit(limits);
  }

  tl::expected<GraphAnswer, NoPlan> run() {
    GraphAnswer answer;
    for (int64_t samples : divisorsOf(query.globalBatch))
      if (!query.microbatch || *query.microbatch == samples)
        for (Schedule schedule : {Schedule::OneForwardOneBackward, Schedule::GPipe})
          for (StateSharding sharding : {StateSharding::None, StateSharding::Optimizer})
            if ((!query.schedule || *query.schedule == schedule) && (!query.sharding || *query.sharding == sharding))
              add(answer, {samples, query.globalBatch / samples, schedule, sharding});
    if (answer.plans.empty())
      return tl::unexpected<NoPlan>(whyNone());
    std::sort(answer.plans.begin(), answer.plans.end(), [](const GraphCandidate &a, const GraphCandidate &b) {
      return std::tuple(a.price.seconds, a.microbatches, a.stages.size()) <
             std::tuple(b.price.seconds, b.microbatches, b.stages.size());
    });
    if (answer.plans.size() > query.runnersUp + 1)
      answer.plans.resize(query.runnersUp + 1);
    answer.lowerBound = lowerBound();
    return answer;
  }

private:
  /// Whether any memory would do shows where there is no limit.
  NoPlan whyNone() const {
    GraphQuery unlimited = query;
    unlimited.fit = cost::Fit::DoesNot;
    bool lacksMemory = query.fit != cost::Fit::DoesNot && planGraph(unlimited).has_value();
    std::string devices = std::to_string(query.devices);
    if (lacksMemory)
      return {Error{"training plan: nothing that was allowed fits the memory of " + devices + " " +
                    query.machine->device().name + "; use more devices, a smaller batch, or force less"},
              true};
    return Error{"training plan: no layout of " + devices + " devices and a global batch of " +
                 std::to_string(query.globalBatch) +
                 " meets the choices that were forced; force fewer, or choose numbers that divide"};
  }

  void add(GraphAnswer &answer, const GraphFrame &frame) {
    tables.clear();
    StageProblem problem = problemOf(frame);
    if (problem.places.empty())
      return;
    int64_t most = std::min({query.devices, problem.layers(), kMostStages});
    for (int64_t stages = query.stages.value_or(1); stages <= query.stages.value_or(most); ++stages) {
      if (frame.schedule == Schedule::GPipe && (stages == 1 || frame.microbatches == 1))
        continue; // as 1F1B
      problem.minStages = stages;
      problem.held.assign(stages, frame.microbatches);
      for (int64_t behind = 0; behind < stages && frame.schedule != Schedule::GPipe; ++behind)
        problem.held[behind] = std::min(behind + 1, frame.microbatches);
      if (auto found = solveStages(problem, {.gain = kGain}))
        keep(answer, settle(frame, *found));
      if (frame.microbatches == 1)
        break; // stages would wait for each other
    }
  }

  void keep(GraphAnswer &answer, GraphCandidate candidate) const {
    if (candidate.price.memory.fit > query.fit)
      return;
    auto same = std::find_if(answer.plans.begin(), answer.plans.end(), [&](const GraphCandidate &known) {
      return known.microbatches == candidate.microbatches && known.stages.size() == candidate.stages.size();
    });
    if (same == answer.plans.end())
      answer.plans.push_back(std::move(candidate));
    else if (candidate.price.seconds < same->price.seconds)
      *same = std::move(candidate);
  }

  cost::TrainingPlan planOf(const GraphFrame &frame, int64_t devices) const {
    cost::TrainingPlan plan;
    plan.dp = devices;
    plan.microbatch = 1;
    plan.globalBatch = frame.microbatches * devices; // so that microbatches() is right
    plan.sharding = frame.sharding;
    plan.precision = query.precision;
    plan.type = query.type;
    return plan;
  }

  StageProblem problemOf(const GraphFrame &frame) {
    StageProblem problem;
    problem.runs = runs;
    problem.devices = query.devices;
    problem.microbatches = frame.microbatches;
    problem.memoryBytes = std::max(0.0, limit - query.stack->reserveBytes);
    for (int64_t devices = 1; devices <= query.devices; ++devices)
      if (frame.samples % devices == 0)
        problem.places.push_back(placeOf(frame, devices));
    return problem;
  }

  Place placeOf(const GraphFrame &frame, int64_t devices) {
    Place place;
    place.devices = devices;
    place.states = kBlockStates;
    place.enter = {query.stack->microbatchSeconds, kForbidden, query.stack->microbatchSeconds};
    place.leave = {0, 0, 0};
    tables.emplace_back();
    for (int kind = 0; kind < query.model->kinds(); ++kind) {
      tables.back().push_back(query.model->table(kind, devices, frame.samples));
      place.kinds.push_back(tableOf(frame, devices, tables.back().back()));
    }
    noteWork(frame, devices);
    return place;
  }

  LayerTable tableOf(const GraphFrame &frame, int64_t devices, const BlockTable &block) const {
    LayerTable table;
    cost::TrainingPlan plan = planOf(frame, devices), whole = plan;
    whole.sharding = StateSharding::None;
    for (const std::vector<BlockWay> &ways : block) {
      table.ways.emplace_back();
      for (const BlockWay &way : ways) {
        double own = way.parameters - way.replicated;
        double state =
            cost::stateBytes(*query.stack, plan) * way.replicated + cost::stateBytes(*query.stack, whole) * own;
        double seconds = way.seconds.forward + way.seconds.backward();
        double once = perStep(plan, way.replicated, own) / double(frame.microbatches);
        table.ways.back().push_back({seconds + once, state, way.activationBytes});
        table.workingBytes = std::max(table.workingBytes, way.activationBytes);
      }
    }
    return table;
  }

  double perStep(const cost::TrainingPlan &plan, double replicated, double own) const {
    const machine::Stack &stack = *query.stack;
    cost::RankGroup group = cost::dataGroup(plan);
    double scatter = cost::scatterSeconds(*query.machine, stack, group, stack.communicatedBytes * replicated);
    bool sharded = plan.sharding == StateSharding::Optimizer;
    double gather = sharded ? cost::scatterSeconds(*query.machine, stack, group, 2 * replicated) : scatter;
    double update = (replicated / (sharded ? double(plan.dp) : 1) + own) * stack.optimizerBytes /
                    query.machine->device().memoryBandwidth;
    return replicated > 0 ? (scatter + gather) * (1 - stack.dataOverlap) + update : update;
  }

  void noteWork(const GraphFrame &frame, int64_t devices) {
    least.resize(query.model->kinds(), kForbidden);
    for (int kind = 0; kind < query.model->kinds(); ++kind)
      for (const std::vector<BlockWay> &ways : tables.back()[kind])
        for (const BlockWay &way : ways)
          least[kind] = std::min(least[kind], (way.seconds.forward + way.seconds.backward()) * double(devices) /
                                                  double(frame.samples));
  }

  double lowerBound() const {
    double work = 0;
    for (const LayerRun &run : runs)
      work += double(run.count) * least[run.kind];
    return work * double(query.globalBatch) / double(query.devices) + query.stack->stepSeconds;
  }

  int kindAt(int64_t block) const {
    for (const LayerRun &run : runs)
      if ((block -= run.count) < 0)
        return run.kind;
    return -1;
  }

  GraphCandidate settle(const GraphFrame &frame, const StageSolution &solution) const {
    GraphCandidate candidate{frame.schedule, frame.sharding, frame.microbatches, {}, {}};
    std::vector<SettledPrices> prices;
    std::vector<cost::StageLayout> layouts;
    prices.reserve(solution.stages.size());
    int64_t firstDevice = 0;
    for (const Stage &found : solution.stages) {
      GraphStage stage{found.first, placeDevices(frame, found.place), firstDevice, {}};
      std::vector<BlockWay> ways;
      for (int64_t i = 0; i < found.count; ++i) {
        const LayerChoice &choice = found.layers[i];
        ways.push_back(tables[found.place][kindAt(found.first + i)][choice.in * kBlockStates + choice.out][choice.way]);
        stage.words.push_back(ways.back().words);
      }
      double boundary = query.model->inputBytes(kindAt(found.first)) * double(frame.samples) / double(stage.devices);
      prices.emplace_back(std::move(ways), boundary);
      layouts.push_back({planOf(frame, stage.devices), &prices.back(), {{0, found.count}}, firstDevice});
      firstDevice += stage.devices;
      candidate.stages.push_back(std::move(stage));
    }
    candidate.price = cost::priceStages(*query.machine, *query.stack, frame.schedule, layouts);
    return candidate;
  }

  /// Places are the numbers of devices that divide the samples, ascending.
  int64_t placeDevices(const GraphFrame &frame, int place) const {
    for (int64_t devices = 1;; ++devices)
      if (frame.samples % devices == 0 && place-- == 0)
        return devices;
  }

  const GraphQuery &query;
  std::vector<LayerRun> runs;
  double limit = 0;
  std::vector<double> least;                   ///< Device-seconds of a sample, by kind, at its cheapest.
  std::vector<std::vector<BlockTable>> tables; ///< By place and kind.
};

} // namespace

tl::expected<GraphAnswer, NoPlan> planGraph(const GraphQuery &query) {
  if (query.devices < 1 || query.devices > query.machine->maxDevices() || query.globalBatch < 1)
    return tl::unexpected<NoPlan>(Error{"training plan: " + std::to_string(query.devices) +
                                        " devices and a global batch of " + std::to_string(query.globalBatch) +
                                        "; give 1 to " + std::to_string(query.machine->maxDevices()) +
                                        " devices of machine '" + query.machine->name + "' and a batch of at least 1"});
  return GraphPlanner(query).run();
}

} // namespace mpopt::search
