#include "Compose.h"

#include <algorithm>
#include <numeric>

namespace mpopt::search {

namespace {

constexpr double kRounding = 1e-9;

double leastSeconds(const LayerTable &table) {
  double least = kForbidden;
  for (const std::vector<LayerWay> &ways : table.ways)
    for (const LayerWay &way : ways)
      least = std::min(least, way.seconds);
  return least;
}

} // namespace

Composer::Composer(const StageProblem &problem, const StageOptions &options)
    : problem(problem), ranges(problem, options.points), unit(problem.devices) {
  for (const Place &place : problem.places)
    unit = std::gcd(unit, place.devices);
  size_t kinds = problem.places.front().kinds.size();
  std::vector<double> fastest(kinds, kForbidden);
  workOfKind.assign(kinds, kForbidden);
  for (const Place &place : problem.places)
    for (size_t kind = 0; kind < kinds; ++kind) {
      double seconds = leastSeconds(place.kinds[kind]);
      fastest[kind] = std::min(fastest[kind], seconds);
      workOfKind[kind] = std::min(workOfKind[kind], seconds * static_cast<double>(place.devices));
    }
  runEnds.push_back(0);
  workToRun.push_back(0);
  for (const LayerRun &run : problem.runs) {
    auto count = static_cast<double>(run.count);
    sumBound += count * fastest[run.kind];
    runEnds.push_back(runEnds.back() + run.count);
    workToRun.push_back(workToRun.back() + count * workOfKind[run.kind]);
  }
}

double Composer::workBefore(int64_t layer) const {
  size_t run = std::upper_bound(runEnds.begin(), runEnds.end(), layer) - runEnds.begin() - 1;
  auto rest = static_cast<double>(layer - runEnds[run]);
  return rest == 0 ? workToRun[run] : workToRun[run] + rest * workOfKind[problem.runs[run].kind];
}

bool Composer::canFinish(size_t begin, int64_t devices, int64_t stages, double most) const {
  if (begin == 0)
    return devices == problem.devices && stages >= problem.minStages;
  return stages < problem.maxStages() && devices < problem.devices &&
         workBefore(ranges.layersBefore(begin)) <=
             static_cast<double>(problem.devices - devices) * most * (1 + kRounding);
}

void Composer::offer(Level &level, const Cell &cell) {
  int32_t &slot = slots[cell.begin * (problem.devices / unit + 1) + cell.devices / unit];
  if (slot < 0) {
    slot = static_cast<int32_t>(level.size());
    level.push_back(cell);
  } else if (Cell &known = level[slot];
             cell.sum < known.sum || (cell.sum == known.sum && cell.slowest < known.slowest)) {
    known = cell;
  }
}

/// Whether the stage that has `stages` - 1 behind it may be at a place that begins with a device.
bool Composer::mayBe(int place, int64_t stages, int64_t device) const {
  const Place &where = problem.places[place];
  return device >= where.from && device + where.devices <= where.to &&
         (problem.order.empty() || problem.order[problem.order.size() - stages] == place);
}

void Composer::extend(const Level &level, size_t index, int64_t stages, double most, Level &longer) {
  const Cell cell = level[index];
  for (size_t place = 0; place < problem.places.size(); ++place) {
    int64_t devices = cell.devices + problem.places[place].devices;
    if (devices > problem.devices || !mayBe(static_cast<int>(place), stages, problem.devices - devices))
      continue;
    Ranges::Row &row = ranges.row(static_cast<int>(place), problem.held[stages - 1], cell.begin);
    double seconds = 0;
    for (size_t length = 1; length <= cell.begin && row.reaches(length, most, seconds); ++length)
      if (seconds <= most && canFinish(cell.begin - length, devices, stages, most))
        offer(longer, {cell.begin - length, devices, cell.sum + seconds, std::max(cell.slowest, seconds),
                       static_cast<int>(place), static_cast<int32_t>(index)});
  }
}

Composer::Pipeline Composer::compose(double most) {
  size_t columns = problem.devices / unit + 1;
  slots.assign(ranges.cuts() * columns, -1);
  std::vector<Level> levels = {{Cell{ranges.cuts() - 1, 0, 0, 0, 0, -1}}};
  Pipeline best;
  for (int64_t stages = 1; stages <= problem.maxStages() && !levels.back().empty(); ++stages) {
    Level longer;
    for (size_t i = 0; i < levels.back().size(); ++i)
      extend(levels.back(), i, stages, most, longer);
    for (const Cell &cell : longer)
      slots[cell.begin * columns + cell.devices / unit] = -1;
    levels.push_back(std::move(longer));
    for (size_t i = 0; i < levels.back().size(); ++i)
      if (const Cell &cell = levels.back()[i];
          cell.begin == 0 && (cell.sum < best.sum || (cell.sum == best.sum && cell.slowest < best.slowest)))
        best = trace(levels, levels.size() - 1, static_cast<int32_t>(i));
  }
  return best;
}

Composer::Pipeline Composer::trace(const std::vector<Level> &levels, size_t level, int32_t cell) const {
  Pipeline pipeline;
  pipeline.sum = levels[level][cell].sum;
  pipeline.slowest = levels[level][cell].slowest;
  for (; level > 0; --level) {
    const Cell &now = levels[level][cell];
    pipeline.pieces.push_back({now.place, problem.held[level - 1], now.begin, levels[level - 1][now.next].begin});
    cell = now.next;
  }
  return pipeline;
}

StageSolution Composer::unfold(const Pipeline &pipeline) {
  StageSolution solution;
  double sum = 0, slowest = 0;
  for (const Piece &piece : pipeline.pieces) {
    solution.stages.push_back(ranges.unfold(piece.place, piece.held, piece.begin, piece.end));
    sum += solution.stages.back().seconds;
    slowest = std::max(slowest, solution.stages.back().seconds);
  }
  solution.cost = sum + static_cast<double>(problem.microbatches - 1) * slowest;
  return solution;
}

} // namespace mpopt::search
