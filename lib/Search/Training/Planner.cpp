#include "Fill.h"

#include <algorithm>

namespace mpopt::search {

using cost::Recompute;

namespace {

/// What tells runners-up apart: stages, and the ways of the first, or 0 where stages differ.
std::array<int64_t, 5> sharesOf(const TrainingCandidate &candidate) {
  const cost::TrainingPlan &plan = candidate.stages.front().layout;
  auto stages = static_cast<int64_t>(candidate.stages.size());
  if (!candidate.isUniform())
    return {stages, 0, 0, 0, 0};
  return {stages, plan.tp, plan.dp, plan.cp, plan.ep};
}

/// Keeps the best candidate of each way to share the devices out.
class Ranking {
public:
  explicit Ranking(size_t size) : size(size) {}

  void add(TrainingCandidate candidate) {
    auto same = std::find_if(plans.begin(), plans.end(),
                             [&](const TrainingCandidate &known) { return sharesOf(known) == sharesOf(candidate); });
    if (same != plans.end() && same->price.seconds <= candidate.price.seconds)
      return;
    if (same != plans.end())
      plans.erase(same);
    auto slower = std::find_if(plans.begin(), plans.end(), [&](const TrainingCandidate &known) {
      return known.price.seconds > candidate.price.seconds;
    });
    plans.insert(slower, std::move(candidate));
    if (plans.size() > size)
      plans.pop_back();
  }

  double best() const { return plans.empty() ? kForbidden : plans.front().price.seconds; }
  /// Seconds of the last of as many as are asked for, or infinity where there are fewer.
  double last() const { return plans.size() < size ? kForbidden : plans.back().price.seconds; }
  bool has(const Frame &frame) const {
    return std::any_of(plans.begin(), plans.end(), [&](const TrainingCandidate &known) {
      return sharesOf(known) == std::array<int64_t, 5>{frame.pp, frame.cell->plan().tp, frame.dp, frame.cell->plan().cp,
                                                       frame.cell->plan().ep};
    });
  }
  const std::vector<TrainingCandidate> &known() const { return plans; }
  std::vector<TrainingCandidate> take() { return std::move(plans); }

private:
  size_t size;
  std::vector<TrainingCandidate> plans;
};

Status checkQuery(const TrainingQuery &query) {
  if (query.devices < 1 || query.devices > query.machine->maxDevices())
    return error("training plan: " + std::to_string(query.devices) + " devices, but machine '" + query.machine->name +
                 "' has 1 to " + std::to_string(query.machine->maxDevices()));
  if (query.globalBatch < 1)
    return error("training plan: the global batch is " + std::to_string(query.globalBatch) + "; give at least 1");
  cost::TrainingPlan whole;
  whole.globalBatch = query.globalBatch;
  return cost::check(query.shape, whole);
}

/// Numbers of sequences per pass and shardings of state that did well: stages of different sizes are tried with those; where no uniform plan is
/// known, with any. None where the choices that were forced leave stages alike, or where experts tie data parallelism down.
std::vector<Frame> mixedSeeds(const TrainingQuery &query, Cells &cells, const std::vector<TrainingCandidate> &known) {
  const LayoutPins &pins = query.pins;
  bool alike = pins.tp || pins.pp || pins.dp || pins.cp || pins.ep || pins.microbatch || pins.interleave ||
               pins.schedule.value_or(cost::Schedule::OneForwardOneBackward) != cost::Schedule::OneForwardOneBackward;
  std::vector<Frame> seeds;
  if (alike || query.shape.experts > 1 || query.shape.layers < 2)
    return seeds;
  for (int64_t samples : divisorsOf(known.empty() ? query.globalBatch : 1)) {
    Frame frame;
    frame.cell = cells.get(1, 1, 1, samples);
    frame.microbatches = query.globalBatch / samples;
    frame.sharding = pins.sharding.value_or(cost::StateSharding::Optimizer);
    if (known.empty() && frame.microbatches > 1)
      seeds.push_back(frame);
  }
  for (const TrainingCandidate &candidate : known) {
    const cost::TrainingPlan &plan = candidate.stages.front().layout;
    Frame frame;
    frame.cell = cells.get(plan.tp, plan.cp, plan.ep, plan.microbatch);
    frame.dp = plan.dp;
    frame.microbatches = candidate.microbatches;
    frame.sharding = plan.sharding;
    bool isNew = std::none_of(seeds.begin(), seeds.end(), [&](const Frame &seed) {
      return seed.microbatches == frame.microbatches && seed.sharding == frame.sharding;
    });
    if (isNew && frame.microbatches > 1)
      seeds.push_back(frame);
  }
  return seeds;
}

/// Why there is no plan: whether any memory would do.
NoPlan whyNone(const TrainingQuery &query, bool anyFrames) {
  if (Status pins = checkPins(query); !pins)
    return pins.error();
  TrainingQuery unlimited = query;
  unlimited.fit = cost::Fit::DoesNot;
  Cells cells(unlimited);
  if (!anyFrames && enumerateFrames(unlimited, cells).empty())
    return Error{
        "training plan: no layout of " + std::to_string(query.devices) + " devices and a global batch of " +
        std::to_string(query.globalBatch) +
        " meets the choices that were forced, the batch and the heads; force fewer, or choose numbers that divide"};
  return {Error{"training plan: nothing fits the memory of " + std::to_string(query.devices) + " " +
                query.machine->device().name + " (" + std::to_string(query.machine->device().memoryBytes >> 20) +
                " MiB each); use more devices, or force less"},
          /*lacksMemory=*/true};
}

double lowerBoundOf(const TrainingQuery &query, const Cells &cells) {
  double devices = double(query.devices);
  double parameters = double(query.shape.layers) * cost::layerParameters(query.shape);
  double update = parameters * query.stack->optimizerBytes / query.machine->device().memoryBandwidth / devices;
  return double(query.globalBatch) * cells.leastWork() / devices + update + query.stack->stepSeconds;
}

} // namespace

tl::expected<TrainingAnswer, NoPlan> planTraining(const TrainingQuery &query) {
  if (Status status = checkQuery(query); !status)
    return tl::unexpected<NoPlan>(status.error());
  Cells cells(query);
  std::vector<Frame> frames = enumerateFrames(query, cells);
  TrainingAnswer answer;
  answer.layouts = int64_t(frames.size());
  Ranking ranking(query.runnersUp + 1);
  for (const Frame &frame : frames) {
    bool couldWin = frame.estimate < ranking.best();
    bool couldFollow = frame.estimate < ranking.last() && !ranking.has(frame);
    if (!couldWin && ranking.last() < kForbidden && frame.estimate >= ranking.last())
      break;
    if (!couldWin && !couldFollow)
      continue;
    ++answer.priced;
    if (std::optional<TrainingCandidate> candidate = fill(query, frame))
      ranking.add(std::move(*candidate));
  }
  for (const Frame &seed : mixedSeeds(query, cells, ranking.known())) {
    ++answer.priced;
    if (std::optional<TrainingCandidate> candidate = fillMixed(query, cells, seed))
      ranking.add(std::move(*candidate));
  }
  answer.plans = ranking.take();
  if (answer.plans.empty())
    return tl::unexpected<NoPlan>(whyNone(query, !frames.empty()));
  answer.lowerBound = lowerBoundOf(query, cells);
  return answer;
}

cost::StepPrice priceCandidate(const TrainingQuery &query, const TrainingCandidate &candidate) {
  std::vector<std::unique_ptr<Cell>> cells;
  std::vector<std::unique_ptr<cost::MixedPrices>> prices;
  std::vector<cost::StageLayout> stages;
  for (const TrainingStage &stage : candidate.stages) {
    const cost::TrainingPlan &plan = stage.layout;
    if (cells.empty() || std::tie(plan.tp, plan.cp, plan.ep, plan.microbatch) !=
                             std::tie(cells.back()->plan().tp, cells.back()->plan().cp, cells.back()->plan().ep,
                                      cells.back()->plan().microbatch))
      cells.push_back(std::make_unique<Cell>(query, plan.tp, plan.cp, plan.ep, plan.microbatch));
    std::vector<cost::MixedPrices::Part> parts;
    for (Recompute recompute : {Recompute::Full, Recompute::Selective, Recompute::None})
      if (int64_t layers = stage.recomputed[static_cast<size_t>(recompute)]; layers > 0)
        parts.push_back({&cells.back()->prices(recompute), layers});
    prices.push_back(std::make_unique<cost::MixedPrices>(std::move(parts)));
    stages.push_back({plan, prices.back().get(), stage.chunks, stage.firstDevice});
  }
  return cost::priceStages(*query.machine, *query.stack, candidate.schedule, stages);
}

} // namespace mpopt::search
