#include "mpopt/Cost/Collective.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace mpopt::cost {

using machine::Algorithm;
using machine::Link;
using machine::Machine;
using machine::Mesh;

namespace {

/// The ranks of one group on one link level.
struct Stage {
  const Link &link;
  double ranks;
  double bandwidth; ///< B/s one rank reaches while all ranks of the mesh
                    ///< communicate.

  double latency(double messages) const { return messages * link.latencySeconds; }
};

/// What a shared bus leaves for one rank when every rank of the mesh below it
/// communicates.
double effectiveBandwidth(const Machine &machine, const Mesh &mesh, int level) {
  const Link &link = machine.links[level];
  if (link.totalBandwidth <= 0)
    return link.bandwidth;
  double sharing = 1;
  for (const machine::MeshAxis &axis : mesh.axes)
    if (axis.level <= level)
      sharing *= double(axis.size);
  return std::min(link.bandwidth, link.totalBandwidth / sharing);
}

/// Inner to outer, one stage per level that the axes cross.
std::vector<Stage> stagesOf(const Machine &machine, const Mesh &mesh, std::span<const int> axes) {
  std::vector<Stage> stages;
  for (int level = 0; level < static_cast<int>(machine.links.size()); ++level) {
    double ranks = 1;
    for (int axis : axes)
      if (mesh.axes[axis].level == level)
        ranks *= double(mesh.axes[axis].size);
    if (ranks > 1)
      stages.push_back({machine.links[level], ranks, effectiveBandwidth(machine, mesh, level)});
  }
  return stages;
}

double ranksOf(const Mesh &mesh, std::span<const int> axes) {
  double ranks = 1;
  for (int axis : axes)
    ranks *= double(mesh.axes[axis].size);
  return ranks;
}

template <typename Seconds> double bestAlgorithm(const Stage &stage, Seconds seconds) {
  double best = std::numeric_limits<double>::infinity();
  for (Algorithm algorithm : stage.link.algorithms)
    best = std::min(best, seconds(algorithm));
  return best;
}

/// Both halves of an all-reduce move (n-1)/n of the whole buffer per rank.
double halfSeconds(const Stage &stage, double wholeBytes) {
  double n = stage.ranks;
  double traffic = (n - 1) / n * wholeBytes / stage.bandwidth;
  return bestAlgorithm(stage, [&](Algorithm algorithm) {
    switch (algorithm) {
    case Algorithm::Ring:
      return stage.latency(n - 1) + traffic;
    case Algorithm::Tree:
      return stage.latency(std::ceil(std::log2(n))) + wholeBytes / stage.bandwidth;
    case Algorithm::Direct:
      return stage.latency(1) + traffic;
    }
    return std::numeric_limits<double>::infinity();
  });
}

double allReduceSeconds(const Stage &stage, double bytes) {
  double n = stage.ranks;
  return bestAlgorithm(stage, [&](Algorithm algorithm) {
    switch (algorithm) {
    case Algorithm::Ring:
      return stage.latency(2 * (n - 1)) + 2 * (n - 1) / n * bytes / stage.bandwidth;
    case Algorithm::Tree:
      return stage.latency(2 * std::ceil(std::log2(n))) + 2 * bytes / stage.bandwidth;
    case Algorithm::Direct:
      // Either everyone reads everyone's whole buffer, or two phases of an n-th
      // each.
      return std::min(stage.latency(1) + (n - 1) * bytes / stage.bandwidth,
                      stage.latency(2) + 2 * (n - 1) / n * bytes / stage.bandwidth);
    }
    return std::numeric_limits<double>::infinity();
  });
}

/// Every rank sends a different n-th to every other; without a direct path a
/// message still costs its latency per peer.
double allToAllSeconds(const Stage &stage, double bytes) {
  double n = stage.ranks;
  return bestAlgorithm(stage, [&](Algorithm algorithm) {
    return stage.latency(algorithm == Algorithm::Direct ? 1 : n - 1) + (n - 1) / n * bytes / stage.bandwidth;
  });
}

double hierarchicalAllReduce(const std::vector<Stage> &stages, double bytes) {
  double seconds = 0;
  for (size_t i = 0; i + 1 < stages.size(); ++i) {
    seconds += 2 * halfSeconds(stages[i], bytes);
    bytes /= stages[i].ranks;
  }
  return seconds + allReduceSeconds(stages.back(), bytes);
}

/// Inside first, so that the slow outer links carry only a part.
double hierarchicalReduceScatter(const std::vector<Stage> &stages, double bytes) {
  double seconds = 0;
  for (const Stage &stage : stages) {
    seconds += halfSeconds(stage, bytes);
    bytes /= stage.ranks;
  }
  return seconds;
}

} // namespace

double wireBytes(const Mesh &mesh, std::span<const int> axes, Collective kind, double bytesPerRank) {
  double n = ranksOf(mesh, axes);
  if (n <= 1)
    return 0;
  switch (kind) {
  case Collective::AllReduce:
    return 2 * (n - 1) / n * bytesPerRank;
  case Collective::AllGather:
    return (n - 1) * bytesPerRank;
  case Collective::ReduceScatter:
  case Collective::AllToAll:
    return (n - 1) / n * bytesPerRank;
  case Collective::Permute:
    return bytesPerRank;
  case Collective::Halo:
    return 2 * bytesPerRank;
  }
  return 0;
}

double collectiveSeconds(const Machine &machine, const Mesh &mesh, std::span<const int> axes, Collective kind,
                         double bytesPerRank) {
  std::vector<Stage> stages = stagesOf(machine, mesh, axes);
  if (stages.empty())
    return 0;
  const Stage &outermost = stages.back();
  switch (kind) {
  case Collective::AllReduce:
    return hierarchicalAllReduce(stages, bytesPerRank);
  case Collective::ReduceScatter:
    return hierarchicalReduceScatter(stages, bytesPerRank);
  case Collective::AllGather: // the mirror image of a reduce-scatter of the
                              // gathered buffer
    return hierarchicalReduceScatter(stages, bytesPerRank * ranksOf(mesh, axes));
  case Collective::AllToAll: {
    double seconds = 0;
    for (const Stage &stage : stages)
      seconds += allToAllSeconds(stage, bytesPerRank);
    return seconds;
  }
  case Collective::Permute:
    return outermost.latency(1) + bytesPerRank / outermost.bandwidth;
  case Collective::Halo:
    return outermost.latency(1) + 2 * bytesPerRank / outermost.bandwidth;
  }
  return 0;
}

} // namespace mpopt::cost
