#include "comm/local/Neighbours.h"

#include <algorithm>

namespace mpopt::runtime {
namespace {

/// The members whose blocks the window of `self` reaches into, as [first, last).
std::pair<int64_t, int64_t> windowOf(const plan::Collective &call, const plan::Buffer &source,
                                     const plan::Buffer &result, int64_t members, int64_t self) {
  int64_t block = numbers(source.shape())[call.dim()];
  if (block == 0 || *elementCount(numbers(result.shape())) == 0) // the sizes of what is empty may be huge
    return {0, 0};
  int64_t whole = block * members, begin = self * block - call.low(), end = begin + numbers(result.shape())[call.dim()];
  begin = std::clamp<int64_t>(begin, 0, whole);
  end = std::clamp<int64_t>(end, begin, whole);
  return {begin / block, begin == end ? begin / block : (end + block - 1) / block};
}

} // namespace

bool hasNeighbours(const plan::Collective &call) {
  return call.kind() == plan::CollectiveKind::permute || call.kind() == plan::CollectiveKind::halo;
}

std::vector<size_t> sourcesOf(const plan::Collective &call, const plan::Buffer &source, const plan::Buffer &result,
                              size_t members, size_t self) {
  std::vector<size_t> sources;
  if (call.kind() == plan::CollectiveKind::permute) {
    sources.push_back(numbers(call.permutation())[self]);
  } else {
    auto [first, last] = windowOf(call, source, result, static_cast<int64_t>(members), static_cast<int64_t>(self));
    for (int64_t member = first; member < last; ++member)
      sources.push_back(static_cast<size_t>(member));
  }
  std::erase(sources, self);
  return sources;
}

GroupPlace groupOf(const plan::Plan &plan, size_t set, uint32_t rank) {
  auto groups = items(items(plan.group_sets())[set]->groups());
  for (size_t number = 0; number < groups.size(); ++number) {
    auto ranks = numbers(groups[number]->ranks());
    auto found = std::ranges::find(ranks, rank);
    if (found != ranks.end())
      return {number, static_cast<size_t>(found - ranks.begin()), ranks};
  }
  return {};
}

} // namespace mpopt::runtime
