#include "Reduce.h"

#include <algorithm>
#include <unordered_map>

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

/// Rewrites the uses of a variable, on rows now, as disjoint stretches without what every strategy uses, which goes to
/// `least`. Merged nodes make many uses of one variable.
void Reducer::splitUses(Work &entry, std::vector<int64_t> &least) {
  size_t size = entry.costs.size();
  std::vector<std::pair<int64_t, int32_t>> events; // (row, +-(use + 1))
  for (size_t u = 0; u < entry.uses.size(); ++u) {
    events.emplace_back(entry.uses[u].interval.first, int32_t(u) + 1);
    events.emplace_back(entry.uses[u].interval.last, -int32_t(u) - 1);
  }
  std::sort(events.begin(), events.end());
  std::vector<TimedUse> stretches;
  std::vector<int64_t> now(size, 0);
  for (size_t e = 0; e < events.size();) {
    int64_t row = events[e].first;
    for (; e < events.size() && events[e].first == row; ++e) {
      int32_t sign = events[e].second > 0 ? 1 : -1;
      const TimedUse &use = entry.uses[size_t(std::abs(events[e].second)) - 1];
      for (size_t s = 0; s < size; ++s)
        now[s] += sign * use.usages[s];
    }
    if (e == events.size())
      break;
    Interval stretch{row, events[e].first};
    auto [low, high] = std::minmax_element(now.begin(), now.end());
    add(least, {int32_t(stretch.first), int32_t(stretch.last)}, *low);
    if (*low == *high)
      continue;
    TimedUse use{stretch, now};
    for (int64_t &usage : use.usages)
      usage -= *low;
    if (!stretches.empty() && stretches.back().interval.last == row && stretches.back().usages == use.usages)
      stretches.back().interval.last = stretch.last;
    else
      stretches.push_back(std::move(use));
  }
  entry.uses = std::move(stretches);
}

namespace {

uint64_t scrambled(uint64_t value) { // splitmix64
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

/// What is known of the rows, to tell which need not be checked.
struct RowFacts {
  std::vector<int64_t> most;   ///< That can be used.
  std::vector<uint64_t> print; ///< Random projection of the usages: equal for equal rows.
  std::vector<int64_t> rising,
      falling; ///< Number of variables of which some strategy uses more (less) than in the row before.

  explicit RowFacts(size_t rows) : most(rows + 1), print(rows + 1), rising(rows + 1), falling(rows + 1) {}

  void addStretch(uint64_t variable, const Interval &interval, const std::vector<int64_t> &usages) {
    add(most, {int32_t(interval.first), int32_t(interval.last)}, *std::max_element(usages.begin(), usages.end()));
    uint64_t projection = 0;
    for (size_t s = 0; s < usages.size(); ++s)
      projection += uint64_t(usages[s]) * scrambled(variable << 16 ^ s);
    print[size_t(interval.first)] += projection;
    print[size_t(interval.last)] -= projection;
  }

  void addStep(int64_t row, const std::vector<int64_t> *before, const std::vector<int64_t> *after) {
    bool rises = !before, falls = !after;
    for (size_t s = 0; before && after && s < before->size(); ++s) {
      rises |= (*after)[s] > (*before)[s];
      falls |= (*after)[s] < (*before)[s];
    }
    rising[size_t(row)] += rises, falling[size_t(row)] += falls;
  }

  void sumUp() {
    accumulate(most), accumulate(rising), accumulate(falling);
    for (size_t row = 1; row < print.size(); ++row)
      print[row] += print[row - 1];
  }
};

/// Of equal rows the one with least room stays.
void dropEqual(const RowFacts &facts, const std::vector<int64_t> &room, std::vector<char> &keep) {
  std::unordered_map<uint64_t, size_t> tightest;
  for (size_t row = 0; row < room.size(); ++row) {
    if (!keep[row])
      continue;
    auto [entry, fresh] = tightest.try_emplace(facts.print[row], row);
    if (fresh)
      continue;
    size_t &held = entry->second;
    keep[room[row] < room[held] ? held : row] = 0;
    held = room[row] < room[held] ? row : held;
  }
}

/// Drops rows that a neighbouring row with no more room exceeds in everything.
void dropContained(const RowFacts &facts, const std::vector<int64_t> &room, std::vector<char> &keep) {
  std::vector<size_t> stack; // rows kept so far
  for (size_t row = 0; row < room.size(); ++row) {
    if (!keep[row])
      continue;
    while (!stack.empty()) {
      size_t last = stack.back();
      if (facts.falling[row] > facts.falling[last] || room[last] < room[row])
        break;
      keep[last] = 0;
      stack.pop_back();
    }
    if (!stack.empty() && facts.rising[row] == facts.rising[stack.back()] && room[row] >= room[stack.back()])
      keep[row] = 0;
    else
      stack.push_back(row);
  }
}

} // namespace

/// Turns the intervals, of times or of the rows placed before, to intervals of the rows that can still overflow.
Status Reducer::placeRows() {
  if (!problem.usageLimit)
    return {};
  if (!rowsPlaced) {
    std::vector<Interval> intervals;
    for (const Work &entry : work)
      for (const TimedUse &use : entry.uses)
        intervals.push_back(use.interval);
    for (const TimedUse &use : decidedUses)
      intervals.push_back(use.interval);
    std::vector<int64_t> times = peakTimes(intervals);
    room.assign(times.size(), *problem.usageLimit);
    moveUses(times);
    rowsPlaced = true;
  }
  std::vector<int64_t> decided(room.size() + 1);
  for (const TimedUse &use : decidedUses)
    add(decided, {int32_t(use.interval.first), int32_t(use.interval.last)}, use.usages[0]);
  decidedUses.clear();
  RowFacts facts(room.size());
  for (size_t i = 0; i < work.size(); ++i) {
    splitUses(work[i], decided);
    const std::vector<TimedUse> &uses = work[i].uses;
    for (size_t u = 0; u < uses.size(); ++u) {
      facts.addStretch(i, uses[u].interval, uses[u].usages);
      bool follows = u > 0 && uses[u - 1].interval.last == uses[u].interval.first;
      facts.addStep(uses[u].interval.first, follows ? &uses[u - 1].usages : nullptr, &uses[u].usages);
      if (u + 1 == uses.size() || uses[u + 1].interval.first != uses[u].interval.last)
        facts.addStep(uses[u].interval.last, &uses[u].usages, nullptr);
    }
  }
  facts.sumUp();
  accumulate(decided);
  int64_t lacking = 0;
  std::vector<char> keepRow(room.size());
  for (size_t row = 0; row < room.size(); ++row) {
    room[row] -= decided[row];
    lacking = std::max(lacking, -room[row]);
    keepRow[row] = facts.most[row] > room[row];
  }
  if (lacking > 0)
    return error("no plan fits the memory limit of " + std::to_string(*problem.usageLimit) +
                 ": the least plan needs at least " + std::to_string(*problem.usageLimit + lacking) +
                 "; use more devices or a device with more memory");
  dropEqual(facts, room, keepRow);
  dropContained(facts, room, keepRow);
  std::vector<int64_t> kept, keptRoom;
  for (size_t row = 0; row < room.size(); ++row)
    if (keepRow[row]) {
      kept.push_back(int64_t(row));
      keptRoom.push_back(room[row]);
    }
  room = std::move(keptRoom);
  moveUses(kept);
  std::vector<int64_t> none(room.size() + 1);
  for (Work &entry : work) // neighbouring stretches may have become equal
    splitUses(entry, none);
  return {};
}

/// From intervals of times to intervals of places in `times`.
void Reducer::moveUses(const std::vector<int64_t> &times) {
  auto move = [&](std::vector<TimedUse> &uses) {
    for (TimedUse &use : uses) {
      auto rows = span(times, use.interval);
      use.interval = {rows.first, rows.second};
    }
    std::erase_if(uses, [](const TimedUse &use) { return use.interval.empty(); });
  };
  for (Work &entry : work)
    move(entry.uses);
  move(decidedUses);
}

std::vector<int32_t> Model::expand(const std::vector<int32_t> &choice) const {
  std::vector<int32_t> result = decided;
  for (size_t i = 0; i < variables.size(); ++i)
    result[size_t(variables[i].node)] = variables[i].strategies[size_t(choice[i])];
  if (recoveries)
    for (auto recovery = recoveries->rbegin(); recovery != recoveries->rend(); ++recovery)
      result[size_t(recovery->node)] = recovery->strategy(result);
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
