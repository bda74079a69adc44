#ifndef MPOPT_COST_COLLECTIVE_H
#define MPOPT_COST_COLLECTIVE_H

#include "mpopt/Machine/Machine.h"
#include "mpopt/Machine/Mesh.h"

#include <span>
#include <vector>

namespace mpopt::cost {

/// `bytesPerRank` below is always what one rank passes in:
/// AllReduce: the whole buffer (the result has the same size); AllGather: its
/// shard (the result is n times as large); ReduceScatter: the whole buffer (the
/// result is its n-th part); AllToAll: its buffer (the result has the same
/// size); Permute: its buffer, sent to one other rank; Halo: one border, sent
/// to each of the two neighbours.
enum class Collective { AllReduce, AllGather, ReduceScatter, AllToAll, Permute, Halo };

/// Bytes one rank sends over the links, n being the product of the axes' sizes:
/// AllReduce 2(n-1)/n B, AllGather (n-1) B, ReduceScatter and AllToAll (n-1)/n
/// B, Permute B, Halo 2 B. 0 for n = 1.
double wireBytes(const machine::Mesh &mesh, std::span<const int> axes, Collective kind, double bytesPerRank);

/// Seconds of one collective over the given axes of the mesh (indices into
/// mesh.axes), all groups running it at once. Level by level: an all-reduce
/// over several levels is a reduce-scatter inside, an all-reduce outside on the
/// part, and an all-gather inside. On each level the best of the algorithms
/// that the link allows, with a = latency, b = bandwidth:
///   ring   steps (n-1), each a + B/(n b);  tree   2 ceil(log2 n) a + 2 B/b
///   (double binary tree, pipelined); direct one step of a per phase, every
///   rank exchanging with all others at once.
/// (alpha-beta model as in Thakur, Rabenseifner, Gropp 2005; tree as in
/// NCCL 2.4.) `machine` as forDevices() returned it.
double collectiveSeconds(const machine::Machine &machine, const machine::Mesh &mesh, std::span<const int> axes,
                         Collective kind, double bytesPerRank);

/// What a collective does on one level of links.
struct LevelTraffic {
  int level = 0;      ///< Index into Machine::links.
  double bytes = 0;   ///< That one rank sends over the level.
  double seconds = 0; ///< The level's share of collectiveSeconds().
};

/// The levels that a collective crosses, inner to outer; their seconds add up to collectiveSeconds().
std::vector<LevelTraffic> collectiveTraffic(const machine::Machine &machine, const machine::Mesh &mesh,
                                            std::span<const int> axes, Collective kind, double bytesPerRank);

} // namespace mpopt::cost

#endif // MPOPT_COST_COLLECTIVE_H
