#include "mpopt/Search/Stages.h"

#include <algorithm>
#include <cmath>

namespace mpopt::search {

namespace {

Status checkTable(const LayerTable &table, int states) {
  if (table.ways.size() != static_cast<size_t>(states) * states)
    return error("stages: a layer has ways for " + std::to_string(table.ways.size()) +
                 " pairs of states; give one list per pair");
  bool good = table.workingBytes >= 0 && table.enterSeconds >= 0 && table.enterBytes >= 0;
  for (const std::vector<LayerWay> &ways : table.ways)
    for (const LayerWay &way : ways)
      good = good && way.seconds >= 0 && way.stateBytes >= 0 && way.heldBytes >= 0 && std::isfinite(way.seconds) &&
             std::isfinite(way.stateBytes) && std::isfinite(way.heldBytes);
  if (!good)
    return error("stages: seconds and bytes of layers must be finite and not below 0");
  return {};
}

Status checkPlace(const Place &place, size_t kinds) {
  if (place.devices < 1 || place.states < 1)
    return error("stages: a place needs at least 1 device and 1 state");
  auto states = static_cast<size_t>(place.states);
  if (place.kinds.size() != kinds || place.enter.size() != states || place.leave.size() != states)
    return error("stages: every place needs a table per kind of layer, and seconds to enter and leave per state");
  for (const std::vector<double> *seconds : {&place.enter, &place.leave})
    if (!std::all_of(seconds->begin(), seconds->end(), [](double s) { return s >= 0; }))
      return error("stages: seconds to enter or leave a stage must not be below 0");
  for (const LayerTable &table : place.kinds)
    if (Status status = checkTable(table, place.states); !status)
      return status;
  return {};
}

int kindAt(const StageProblem &problem, int64_t layer) {
  for (const LayerRun &run : problem.runs)
    if ((layer -= run.count) < 0)
      return run.kind;
  return -1;
}

/// Recomputes a stage's seconds and bytes; `held` as in StageProblem.
Result<Stage> recompute(const StageProblem &problem, const Stage &stage, int64_t held) {
  if (stage.place < 0 || static_cast<size_t>(stage.place) >= problem.places.size())
    return error("stages: a stage has no place");
  if (stage.layers.size() != static_cast<size_t>(stage.count) || stage.count < 1)
    return error("stages: a stage has " + std::to_string(stage.layers.size()) + " choices for " +
                 std::to_string(stage.count) + " layers");
  const Place &place = problem.places[stage.place];
  Stage result = stage;
  result.seconds = result.bytes = 0;
  double working = 0;
  for (int64_t i = 0; i < stage.count; ++i) {
    const LayerChoice &choice = stage.layers[i];
    const LayerTable &table = place.kinds[kindAt(problem, stage.first + i)];
    bool inRange = choice.in >= 0 && choice.in < place.states && choice.out >= 0 && choice.out < place.states;
    const auto *ways = inRange ? &table.ways[choice.in * place.states + choice.out] : nullptr;
    if (!ways || choice.way < 0 || static_cast<size_t>(choice.way) >= ways->size())
      return error("stages: layer " + std::to_string(stage.first + i) + " is run in a way that does not exist");
    if (i > 0 && stage.layers[i - 1].out != choice.in)
      return error("stages: layer " + std::to_string(stage.first + i) + " does not take the state that it is given");
    const LayerWay &way = (*ways)[choice.way];
    result.seconds += way.seconds;
    result.bytes += way.stateBytes + static_cast<double>(held) * way.heldBytes;
    working = std::max(working, table.workingBytes);
  }
  const LayerTable &first = place.kinds[kindAt(problem, stage.first)];
  result.seconds += place.enter[stage.layers.front().in] + first.enterSeconds + place.leave[stage.layers.back().out];
  result.bytes += working + first.enterBytes;
  return result;
}

} // namespace

int64_t StageProblem::layers() const {
  int64_t sum = 0;
  for (const LayerRun &run : runs)
    sum += run.count;
  return sum;
}

Status check(const StageProblem &problem) {
  if (problem.runs.empty() || problem.places.empty() || problem.held.empty())
    return error("stages: a problem needs layers, places and at least one stage");
  if (problem.devices < 1 || problem.microbatches < 1 || problem.minStages < 1 ||
      problem.minStages > problem.maxStages())
    return error("stages: devices, microbatches and stages must be at least 1");
  if (!std::all_of(problem.held.begin(), problem.held.end(), [](int64_t held) { return held >= 0; }))
    return error("stages: a stage cannot hold less than 0 microbatches");
  for (int place : problem.order)
    if (place < 0 || static_cast<size_t>(place) >= problem.places.size())
      return error("stages: the place of a stage does not exist");
  if (!problem.order.empty() &&
      (static_cast<int64_t>(problem.order.size()) != problem.maxStages() || problem.minStages != problem.maxStages()))
    return error("stages: there must be as many stages as places are given for");
  size_t kinds = problem.places.front().kinds.size();
  for (const LayerRun &run : problem.runs)
    if (run.count < 1 || run.kind < 0 || static_cast<size_t>(run.kind) >= kinds)
      return error("stages: a run needs at least 1 layer, of a kind that the places know");
  for (const Place &place : problem.places)
    if (Status status = checkPlace(place, kinds); !status)
      return status;
  return {};
}

Result<double> verify(const StageProblem &problem, const StageSolution &solution) {
  auto stages = static_cast<int64_t>(solution.stages.size());
  if (stages < problem.minStages || stages > problem.maxStages())
    return error("stages: " + std::to_string(stages) + " stages, which is not allowed");
  int64_t next = 0, devices = 0;
  double sum = 0, slowest = 0;
  for (int64_t i = 0; i < stages; ++i) {
    const Stage &stage = solution.stages[i];
    if (stage.first != next)
      return error("stages: stage " + std::to_string(i) + " does not begin where the one before it ends");
    next = stage.first + stage.count;
    if (next > problem.layers())
      return error("stages: stage " + std::to_string(i) + " ends after the last layer");
    if (!problem.order.empty() && problem.order[i] != stage.place)
      return error("stages: stage " + std::to_string(i) + " is at another place than it must be");
    Result<Stage> known = recompute(problem, stage, problem.held[stages - 1 - i]);
    if (!known)
      return tl::unexpected<Error>(known.error());
    if (known->bytes > problem.memoryBytes * (1 + 1e-12))
      return error("stages: stage " + std::to_string(i) + " does not fit the memory");
    if (std::abs(known->seconds - stage.seconds) > 1e-9 * known->seconds ||
        std::abs(known->bytes - stage.bytes) > 1e-9 * known->bytes)
      return error("stages: stage " + std::to_string(i) + " takes other seconds or bytes than it says");
    const Place &place = problem.places[stage.place];
    if (devices < place.from || devices + place.devices > place.to)
      return error("stages: stage " + std::to_string(i) + " is on devices that its place has no part of");
    devices += place.devices;
    sum += known->seconds;
    slowest = std::max(slowest, known->seconds);
  }
  if (next != problem.layers() || devices != problem.devices)
    return error("stages: layers or devices are left over");
  return sum + static_cast<double>(problem.microbatches - 1) * slowest;
}

} // namespace mpopt::search
