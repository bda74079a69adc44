#include "Reduce.h"

#include <algorithm>

namespace mpopt::search {

namespace {

/// The times that hold a largest set of live intervals: starts that some end
/// follows before the next start.
std::vector<int64_t> peakTimes(const std::vector<Interval> &intervals) {
  std::vector<std::pair<int64_t, bool>> events; // (time, starts); ends sort before starts
  for (const Interval &interval : intervals) {
    events.emplace_back(interval.first, true);
    events.emplace_back(interval.last, false);
  }
  std::sort(events.begin(), events.end());
  std::vector<int64_t> times;
  for (size_t i = 1; i < events.size(); ++i)
    if (events[i - 1].second && !events[i].second)
      times.push_back(events[i - 1].first);
  return times;
}

/// [first, last) of the sorted `times` that lie in the interval.
std::pair<int32_t, int32_t> span(const std::vector<int64_t> &times, Interval interval) {
  auto index = [&](int64_t time) {
    return int32_t(std::lower_bound(times.begin(), times.end(), time) - times.begin());
  };
  return {index(interval.first), index(interval.last)};
}

/// Adds `amount` to the rows of the interval, as a difference array.
void add(std::vector<int64_t> &steps, std::pair<int32_t, int32_t> rows, int64_t amount) {
  steps[size_t(rows.first)] += amount;
  steps[size_t(rows.second)] -= amount;
}

void accumulate(std::vector<int64_t> &steps) {
  for (size_t i = 1; i < steps.size(); ++i)
    steps[i] += steps[i - 1];
  steps.pop_back();
}

} // namespace

Status Reducer::placeRows(Model &model) {
  if (!problem.usageLimit)
    return {};
  int64_t limit = *problem.usageLimit;
  std::vector<Interval> intervals;
  for (const Work &entry : work)
    for (const TimedUse &use : entry.uses)
      intervals.push_back(use.interval);
  for (const TimedUse &use : decidedUses)
    intervals.push_back(use.interval);
  std::vector<int64_t> times = peakTimes(intervals);
  std::vector<int64_t> decided(times.size() + 1), least(times.size() + 1), most(times.size() + 1);
  for (const TimedUse &use : decidedUses)
    add(decided, span(times, use.interval), use.usages[0]);
  for (const Work &entry : work)
    for (const TimedUse &use : entry.uses) {
      auto [low, high] = std::minmax_element(use.usages.begin(), use.usages.end());
      add(least, span(times, use.interval), *low);
      add(most, span(times, use.interval), *high);
    }
  accumulate(decided), accumulate(least), accumulate(most);

  std::vector<int64_t> kept;
  int64_t needed = 0;
  for (size_t row = 0; row < times.size(); ++row) {
    needed = std::max(needed, decided[row] + least[row]);
    if (decided[row] + most[row] <= limit)
      continue;
    kept.push_back(times[row]);
    model.room.push_back(limit - decided[row]);
  }
  if (needed > limit)
    return error("no plan fits the memory limit of " + std::to_string(limit) + ": the least plan needs at least " +
                 std::to_string(needed) + "; use more devices or a device with more memory");
  for (Variable &variable : model.variables)
    for (const TimedUse &use : work[size_t(variable.node)].uses)
      if (auto rows = span(kept, use.interval); rows.first < rows.second)
        variable.uses.push_back({rows.first, rows.second, use.usages});
  return {};
}

std::vector<int32_t> Model::expand(const std::vector<int32_t> &choice) const {
  std::vector<int32_t> result = decided;
  for (size_t i = 0; i < variables.size(); ++i)
    result[size_t(variables[i].node)] = variables[i].strategies[size_t(choice[i])];
  return result;
}

double Model::cost(const std::vector<int32_t> &choice) const {
  double sum = constant;
  for (size_t i = 0; i < variables.size(); ++i)
    sum += variables[i].costs[size_t(choice[i])];
  for (const Arc &arc : arcs)
    sum += arc.at(choice[size_t(arc.ends[0])], choice[size_t(arc.ends[1])]);
  return sum;
}

std::vector<int64_t> Model::usage(const std::vector<int32_t> &choice) const {
  std::vector<int64_t> steps(room.size() + 1);
  for (size_t i = 0; i < variables.size(); ++i)
    for (const Use &use : variables[i].uses)
      add(steps, {use.first, use.last}, use.usages[size_t(choice[i])]);
  accumulate(steps);
  return steps;
}

bool Model::fits(const std::vector<int32_t> &choice) const {
  std::vector<int64_t> used = usage(choice);
  for (size_t row = 0; row < used.size(); ++row)
    if (used[row] > room[row])
      return false;
  return true;
}

} // namespace mpopt::search
