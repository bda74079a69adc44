#include "StageKit.h"
#include "Frames.h"
#include "mpopt/Cost/Training/Traffic.h"

#include <algorithm>

namespace mpopt::search {

using cost::LayerRange;
using cost::Recompute;
using cost::StateSharding;

namespace {

cost::MixedPrices mixedPrices(const OpenStage &open) {
  std::vector<cost::MixedPrices::Part> parts;
  for (Recompute recompute : {Recompute::Full, Recompute::Selective, Recompute::None})
    if (int64_t layers = open.stage.recomputed[static_cast<size_t>(recompute)]; layers > 0)
      parts.push_back({&open.cell->prices(recompute), layers});
  return cost::MixedPrices(std::move(parts));
}

void setRecomputed(TrainingStage &stage, Recompute larger, Recompute smaller, int64_t layers, int64_t most) {
  stage.recomputed = {};
  stage.recomputed[static_cast<size_t>(larger)] = most - layers;
  stage.recomputed[static_cast<size_t>(smaller)] += layers;
}

double chunkSeconds(const OpenStage &open) {
  cost::MixedPrices made = mixedPrices(open);
  double seconds = 0;
  for (const LayerRange &chunk : open.stage.chunks) {
    cost::PartSeconds pass = made.range(chunk.first, chunk.count);
    seconds += pass.forward + pass.backward();
  }
  return seconds;
}

} // namespace

StageKit::StageKit(const TrainingQuery &query, int64_t microbatches)
    : query(query), microbatches(microbatches), recomputes(search::recomputations(query)), limit(memoryLimit(query)) {}

std::vector<LayerRun> StageKit::runs() const {
  int64_t layers = query.shape.layers;
  std::vector<LayerRun> runs = {{0, 1}};
  if (layers > 2)
    runs.push_back({1, layers - 2});
  if (layers > 1)
    runs.push_back({layers > 2 ? 2 : 1, 1});
  return runs;
}

Place StageKit::place(const Cell &cell, const cost::TrainingPlan &plan, size_t ways) const {
  int64_t layers = query.shape.layers;
  Place place;
  place.devices = plan.tp * plan.cp * plan.dp;
  place.kinds.push_back(table(cell, plan, {0, 1}, ways));
  if (layers > 2)
    place.kinds.push_back(table(cell, plan, {1, 1}, ways));
  if (layers > 1)
    place.kinds.push_back(table(cell, plan, {layers - 1, 1}, ways));
  place.enter = {query.stack->microbatchSeconds};
  place.leave = {0};
  return place;
}

double StageKit::room(const Cell &cell, const cost::TrainingPlan &plan) const {
  double bytes = limit - query.stack->reserveBytes;
  if (plan.sharding == StateSharding::Parameters)
    bytes -= 8 * cell.prices(Recompute::None).parameters(1, 1);
  return std::max(0.0, bytes);
}

LayerTable StageKit::table(const Cell &cell, const cost::TrainingPlan &plan, LayerRange layer, size_t ways) const {
  LayerTable table;
  table.ways.resize(1);
  double state = cost::stateBytes(*query.stack, plan);
  for (size_t way = 0; way < ways; ++way) {
    const cost::TrainingPrices &made = cell.prices(recomputes[way]);
    double parameters = made.parameters(layer.first, layer.count);
    table.ways[0].push_back({seconds(plan, made.range(layer.first, layer.count), parameters), state * parameters,
                             made.activationBytes(layer.first, layer.count)});
    table.workingBytes = std::max(table.workingBytes, made.workingBytes(layer.first, layer.count));
  }
  return table;
}

/// Of a microbatch, with its share of what is done once a step.
double StageKit::seconds(const cost::TrainingPlan &plan, const cost::PartSeconds &pass, double parameters) const {
  double update = parameters * query.stack->optimizerBytes / query.machine->device().memoryBandwidth;
  if (plan.sharding != StateSharding::None)
    update /= double(plan.dp * plan.cp);
  double scatter = cost::scatterSeconds(*query.machine, *query.stack, cost::dataGroup(plan), 2 * parameters);
  double compute = pass.forward + pass.backward();
  if (plan.sharding == StateSharding::None || plan.sharding == StateSharding::Optimizer)
    return compute + (update + 2 * scatter * (1 - query.stack->dataOverlap)) / double(microbatches);
  // In every pass, partly beside it.
  double exposed = query.stack->gatherExposed * std::min(compute, 3 * scatter);
  return std::max(compute, 3 * scatter) + exposed + update / double(microbatches);
}

bool StageKit::recompute(OpenStage &open, const std::vector<int64_t> &held) const {
  int64_t most = 0;
  for (const LayerRange &chunk : open.stage.chunks)
    most = std::max(most, chunk.count);
  double best = kForbidden;
  std::array<int64_t, 3> chosen{};
  for (size_t a = 0; a < recomputes.size(); ++a)
    for (size_t b = a; b < recomputes.size(); ++b)
      if (int64_t layers = leastSmaller(open, held, recomputes[a], recomputes[b], most); layers >= 0) {
        setRecomputed(open.stage, recomputes[a], recomputes[b], layers, most);
        if (double seconds = chunkSeconds(open); seconds < best) {
          best = seconds;
          chosen = open.stage.recomputed;
        }
      }
  open.stage.recomputed = chosen;
  return best < kForbidden;
}

/// How many layers of each chunk must go by `smaller` for the stage to fit, or -1.
int64_t StageKit::leastSmaller(OpenStage &open, const std::vector<int64_t> &held, Recompute larger, Recompute smaller,
                               int64_t most) const {
  auto fits = [&](int64_t layers) {
    setRecomputed(open.stage, larger, smaller, layers, most);
    return bytes(open, held) <= room(*open.cell, open.stage.layout);
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

double StageKit::bytes(const OpenStage &open, const std::vector<int64_t> &held) const {
  cost::MixedPrices made = mixedPrices(open);
  double state = cost::stateBytes(*query.stack, open.stage.layout), bytes = 0, working = 0;
  for (size_t i = 0; i < open.stage.chunks.size(); ++i) {
    const LayerRange &chunk = open.stage.chunks[i];
    bytes += state * made.parameters(chunk.first, chunk.count) +
             double(held[i]) * made.activationBytes(chunk.first, chunk.count);
    working = std::max(working, made.workingBytes(chunk.first, chunk.count));
  }
  return bytes + working;
}

} // namespace mpopt::search
