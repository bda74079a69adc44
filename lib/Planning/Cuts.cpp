#include "Cuts.h"

#include <algorithm>
#include <limits>

namespace mpopt::planning {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

struct Piece {
  double seconds;
  int64_t bytes;
};

/// Costs of all stages between candidate places.
class Pieces {
public:
  Pieces(const Chain &chain, std::vector<size_t> places) : places(std::move(places)) {
    size_t n = this->places.size();
    pieces.resize(n * n);
    for (size_t from = 0; from + 1 < n; ++from) {
      size_t first = this->places[from];
      Piece piece{chain.transferSeconds[first], 0};
      int64_t weights = chain.crossingBytes[first], live = 0;
      for (size_t to = from + 1, op = first; to < n; ++to) {
        for (; op < this->places[to]; ++op) {
          piece.seconds += chain.seconds[op];
          weights += chain.weightBytes[op];
          live = std::max(live, chain.liveBytes[op]);
        }
        piece.bytes = weights + live;
        pieces[from * n + to] = piece;
      }
    }
  }

  size_t size() const { return places.size(); }
  size_t place(size_t i) const { return places[i]; }
  const Piece &at(size_t from, size_t to) const { return pieces[from * places.size() + to]; }

private:
  std::vector<size_t> places;
  std::vector<Piece> pieces;
};

/// Shortest paths over places: least(first `stages` stages that end at `to`), each step measured by `step` and joined by `join`.
template <typename Step, typename Join>
std::optional<std::vector<size_t>> shortest(size_t places, size_t stages, Step step, Join join, double *least) {
  std::vector<double> now(places, kInfinite), next(places);
  std::vector<std::vector<size_t>> from(stages, std::vector<size_t>(places));
  now[0] = 0;
  for (size_t stage = 0; stage < stages; ++stage) {
    std::fill(next.begin(), next.end(), kInfinite);
    for (size_t to = stage + 1; to < places; ++to)
      for (size_t i = stage; i < to; ++i)
        if (now[i] < kInfinite)
          if (double cost = join(now[i], step(i, to)); cost < next[to]) {
            next[to] = cost;
            from[stage][to] = i;
          }
    std::swap(now, next);
  }
  if (now.back() == kInfinite)
    return std::nullopt;
  *least = now.back();
  std::vector<size_t> path;
  for (size_t stage = stages, at = places - 1; stage-- > 0; at = from[stage][at])
    path.push_back(from[stage][at]);
  path.pop_back(); // the first stage begins at the beginning
  std::reverse(path.begin(), path.end());
  return path;
}

double worth(const CutCost &cost, int64_t microbatches, CutGoal goal) {
  if (goal == CutGoal::Memory)
    return static_cast<double>(cost.maxBytes);
  if (goal == CutGoal::Throughput)
    return cost.maxSeconds;
  return cost.sumSeconds + static_cast<double>(microbatches - 1) * cost.maxSeconds;
}

} // namespace

std::vector<size_t> cutPlaces(const Chain &chain, size_t most) {
  size_t n = chain.size();
  std::vector<size_t> places{0};
  if (n <= most) {
    for (size_t i = 1; i <= n; ++i)
      places.push_back(i);
    return places;
  }
  double whole = 0, before = 0;
  for (double seconds : chain.seconds)
    whole += seconds;
  for (size_t i = 1, stretch = 1; i < n; ++stretch) {
    double end = whole * static_cast<double>(stretch) / static_cast<double>(most);
    size_t best = 0;
    for (; i < n && (before + chain.seconds[i - 1] <= end || stretch >= most); ++i) {
      before += chain.seconds[i - 1];
      if (best == 0 || chain.crossingBytes[i] < chain.crossingBytes[best])
        best = i;
    }
    if (best > 0)
      places.push_back(best);
  }
  places.push_back(n);
  return places;
}

CutCost costOfCuts(const Chain &chain, const std::vector<size_t> &cuts) {
  std::vector<size_t> places{0};
  places.insert(places.end(), cuts.begin(), cuts.end());
  places.push_back(chain.size());
  Pieces pieces(chain, places);
  CutCost cost;
  for (size_t i = 0; i + 1 < places.size(); ++i) {
    const Piece &piece = pieces.at(i, i + 1);
    cost.sumSeconds += piece.seconds;
    cost.maxSeconds = std::max(cost.maxSeconds, piece.seconds);
    cost.maxBytes = std::max(cost.maxBytes, piece.bytes);
  }
  return cost;
}

std::optional<std::vector<size_t>> chooseCuts(const Chain &chain, int64_t stages, int64_t microbatches, CutGoal goal,
                                              int64_t memoryLimit) {
  Pieces pieces(chain, cutPlaces(chain, kMaxCuts));
  auto measure = [&](size_t from, size_t to) {
    const Piece &piece = pieces.at(from, to);
    if (piece.bytes > memoryLimit)
      return kInfinite;
    return goal == CutGoal::Memory ? static_cast<double>(piece.bytes) : piece.seconds;
  };
  auto maximum = [](double a, double b) { return std::max(a, b); };
  auto sum = [](double a, double b) { return a + b; };
  double least = 0;
  if (!shortest(pieces.size(), stages, measure, maximum, &least))
    return std::nullopt;
  // The least maximum may need costly cuts: with a little more there may be better ones. Of those that are about as good the first is taken, the
  // most even one: where transfers alone tell cuts apart, nobody wants a stage of one operator.
  constexpr double kAboutEqual = 1.02;
  std::vector<std::pair<double, std::vector<size_t>>> found;
  for (double slack : {1.0, 1.02, 1.05, 1.1, 1.2, 1.5, kInfinite}) {
    auto within = [&](size_t from, size_t to) {
      double size = measure(from, to);
      return size < kInfinite && size <= least * slack ? pieces.at(from, to).seconds : kInfinite;
    };
    double ignored = 0;
    auto path = shortest(pieces.size(), stages, within, sum, &ignored);
    if (!path)
      continue;
    for (size_t &cut : *path)
      cut = pieces.place(cut);
    found.emplace_back(worth(costOfCuts(chain, *path), microbatches, goal), std::move(*path));
  }
  double best = kInfinite;
  for (const auto &[value, path] : found)
    best = std::min(best, value);
  for (auto &[value, path] : found)
    if (value <= best * kAboutEqual)
      return std::move(path);
  return std::nullopt;
}

} // namespace mpopt::planning
