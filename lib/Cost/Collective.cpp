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

/// Calls visit(stage, bytes sent per rank, seconds) for each stage.
template <typename Visit> void visitAllReduce(const std::vector<Stage> &stages, double bytes, Visit visit) {
  for (size_t i = 0; i + 1 < stages.size(); ++i) {
    double n = stages[i].ranks;
    visit(stages[i], 2 * (n - 1) / n * bytes, 2 * halfSeconds(stages[i], bytes));
    bytes /= n;
  }
  double n = stages.back().ranks;
  visit(stages.back(), 2 * (n - 1) / n * bytes, allReduceSeconds(stages.back(), bytes));
}

/// Inside first, so that the slow outer links carry only a part.
template <typename Visit> void visitReduceScatter(const std::vector<Stage> &stages, double bytes, Visit visit) {
  for (const Stage &stage : stages) {
    visit(stage, (stage.ranks - 1) / stage.ranks * bytes, halfSeconds(stage, bytes));
    bytes /= stage.ranks;
  }
}

template <typename Visit>
void visitStages(const std::vector<Stage> &stages, Collective kind, double bytes, Visit visit) {
  const Stage &outermost = stages.back();
  switch (kind) {
  case Collective::AllReduce:
    return visitAllReduce(stages, bytes, visit);
  case Collective::ReduceScatter:
    return visitReduceScatter(stages, bytes, visit);
  case Collective::AllGather: // the mirror image of a reduce-scatter of the gathered buffer
    for (const Stage &stage : stages)
      bytes *= stage.ranks;
    return visitReduceScatter(stages, bytes, visit);
  case Collective::AllToAll:
    for (const Stage &stage : stages)
      visit(stage, (stage.ranks - 1) / stage.ranks * bytes, allToAllSeconds(stage, bytes));
    return;
  case Collective::Permute:
    return visit(outermost, bytes, outermost.latency(1) + bytes / outermost.bandwidth);
  case Collective::Halo:
    return visit(outermost, 2 * bytes, outermost.latency(1) + 2 * bytes / outermost.bandwidth);
  }
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
  double seconds = 0;
  visitStages(stages, kind, bytesPerRank, [&](const Stage &, double, double part) { seconds += part; });
  return seconds;
}

std::vector<LevelTraffic> collectiveTraffic(const Machine &machine, const Mesh &mesh, std::span<const int> axes,
                                            Collective kind, double bytesPerRank) {
  std::vector<Stage> stages = stagesOf(machine, mesh, axes);
  std::vector<LevelTraffic> traffic;
  if (!stages.empty())
    visitStages(stages, kind, bytesPerRank, [&](const Stage &stage, double bytes, double seconds) {
      traffic.push_back({static_cast<int>(&stage.link - machine.links.data()), bytes, seconds});
    });
  return traffic;
}

} // namespace mpopt::cost
