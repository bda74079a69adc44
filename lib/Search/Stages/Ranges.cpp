#include "Ranges.h"

#include <algorithm>
#include <cassert>

namespace mpopt::search {

void Ranges::setCuts(std::vector<int64_t> layersBefore) {
  cut = std::move(layersBefore);
  rows.clear();
}

Ranges::Row &Ranges::row(int place, int64_t held, size_t end) {
  auto [found, isNew] = rows.try_emplace({place, held, end});
  Row &row = found->second;
  if (isNew) {
    row.ranges = this;
    row.place = place;
    row.held = held;
    row.end = end;
    row.tails = start(problem.places[place]);
  }
  return row;
}

bool Ranges::Row::reaches(size_t length, double most, double &result) {
  while (seconds.size() < length && (bounds.empty() || bounds.back() <= most))
    extend();
  if (seconds.size() < length || bounds[length - 1] > most || bounds[length - 1] == kForbidden)
    return false;
  result = seconds[length - 1];
  return true;
}

void Ranges::Row::extend() {
  const Place &where = ranges->problem.places[place];
  size_t begin = end - seconds.size() - 1;
  int kind = ranges->kindAt(ranges->cut[begin]);
  const LayerTable &table = where.kinds[kind];
  working = std::max(working, table.workingBytes);
  double limit = ranges->problem.memoryBytes - working;
  ranges->prependLayers(tails, ranges->powers(place, held, kind), ranges->cut[begin + 1] - ranges->cut[begin], limit,
                        [](int) {});
  double best = kForbidden, bound = kForbidden;
  for (int state = 0; state < where.states; ++state) {
    double fastest = fastestWithin(tails[state], limit);
    bound = std::min(bound, fastest);
    best =
        std::min(best, fastestWithin(tails[state], limit - table.enterBytes) + where.enter[state] + table.enterSeconds);
  }
  seconds.push_back(best);
  bounds.push_back(bound);
}

Powers &Ranges::powers(int place, int64_t held, int kind) {
  std::unique_ptr<Powers> &found = made[{place, held, kind}];
  const Place &where = problem.places[place];
  if (!found)
    found = std::make_unique<Powers>(where.kinds[kind], where.states, held,
                                     problem.memoryBytes - where.kinds[kind].workingBytes, points);
  return *found;
}

int Ranges::kindAt(int64_t layer) const {
  for (const LayerRun &run : problem.runs)
    if ((layer -= run.count) < 0)
      return run.kind;
  assert(false && "a cut lies before the last layer");
  return 0;
}

std::vector<Frontier> Ranges::start(const Place &place) const {
  std::vector<Frontier> tails(place.states);
  for (int state = 0; state < place.states; ++state)
    if (place.leave[state] < kForbidden)
      tails[state].push_back({0, place.leave[state], 0, 0, 0});
  return tails;
}

std::vector<Frontier> Ranges::prepend(const std::vector<Frontier> &tails, Powers &power, int exponent, double limit) {
  int states = static_cast<int>(tails.size());
  std::vector<Frontier> longer(states);
  for (int in = 0; in < states; ++in) {
    for (int middle = 0; middle < states; ++middle)
      addProducts(longer[in], power.get(exponent, in, middle), tails[middle], middle, limit);
    reduce(longer[in], limit, points);
  }
  return longer;
}

template <typename Note>
void Ranges::prependLayers(std::vector<Frontier> &tails, Powers &power, int64_t count, double limit, Note note) {
  for (int exponent = 0; count >> exponent > 0; ++exponent)
    if (count >> exponent & 1) {
      note(exponent);
      tails = prepend(tails, power, exponent, limit);
    }
}

Stage Ranges::unfold(int place, int64_t held, size_t begin, size_t end) {
  const Place &where = problem.places[place];
  std::vector<Frontier> tails = start(where);
  std::vector<Step> steps;
  double working = 0, limit = problem.memoryBytes;
  for (size_t i = end; i-- > begin;) {
    int kind = kindAt(cut[i]);
    working = std::max(working, where.kinds[kind].workingBytes);
    limit = problem.memoryBytes - working;
    prependLayers(tails, powers(place, held, kind), cut[i + 1] - cut[i], limit,
                  [&](int exponent) { steps.push_back({kind, exponent, tails}); });
  }
  const LayerTable &first = where.kinds[kindAt(cut[begin])];
  limit -= first.enterBytes;
  Stage stage{cut[begin], cut[end] - cut[begin], place, kForbidden, 0, {}};
  int state = 0;
  for (int s = 0; s < where.states; ++s)
    if (double seconds = where.enter[s] + first.enterSeconds + fastestWithin(tails[s], limit);
        seconds < stage.seconds) {
      stage.seconds = seconds;
      state = s;
    }
  const Frontier &trades = tails[state];
  auto trade = static_cast<int32_t>(
      std::find_if(trades.rbegin(), trades.rend(), [&](const Trade &t) { return t.bytes <= limit; }).base() - 1 -
      trades.begin());
  stage.bytes = trades[trade].bytes + working + first.enterBytes;
  const std::vector<Frontier> *now = &tails;
  for (size_t i = steps.size(); i-- > 0;) {
    const Trade &made = (*now)[state][trade];
    powers(place, held, steps[i].kind).unfold(steps[i].exponent, state, made.middle, made.left, stage.layers);
    state = made.middle;
    trade = made.right;
    now = &steps[i].tails;
  }
  return stage;
}

} // namespace mpopt::search
