#ifndef MPOPT_COST_TRAINING_TRAFFIC_H
#define MPOPT_COST_TRAINING_TRAFFIC_H

#include "mpopt/Cost/Training/Transformer.h"
#include "mpopt/Machine/Stack.h"

namespace mpopt::cost {

/// The ranks of one communicator: `ranks` of them, `stride` apart in the order of devices.
struct RankGroup {
  int64_t ranks = 1;
  int64_t stride = 1;
};

RankGroup tensorGroup(const TrainingPlan &plan);
RankGroup contextGroup(const TrainingPlan &plan);
/// Ranks that hold the same weights: dp and cp together.
RankGroup dataGroup(const TrainingPlan &plan);
RankGroup expertGroup(const TrainingPlan &plan);
/// Devices from one pipeline stage to the next.
int64_t stageDistance(const TrainingPlan &plan);

/// Seconds of a ring reduce-scatter (or all-gather, its mirror image) of a buffer of `bytes`, every rank ending with
/// (starting from) its n-th part, while all groups of the machine do the same: the slowest level's
///   (n-1)/n bytes / bandwidth, and the latency of every hop,
/// a ring being pipelined over its levels (NCCL). On level 0 the bandwidth is the link's; on an outer level a ring enters
/// and leaves a node once, so its k members in a node share k devices' part of the node's adapters: k * bandwidth.
double scatterSeconds(const machine::Machine &machine, const machine::Stack &stack, RankGroup group, double bytes);

/// An all-reduce: the bytes of a reduce-scatter and an all-gather; its latency grows with the logarithm of the ranks where
/// that is less (double binary trees, NCCL 2.4).
double reduceSeconds(const machine::Machine &machine, const machine::Stack &stack, RankGroup group, double bytes);

/// An all-to-all of a buffer of `bytes` per rank: the share that leaves the node, at one device's outer bandwidth, and
/// the share that stays, at the inner one.
double exchangeSeconds(const machine::Machine &machine, const machine::Stack &stack, RankGroup group, double bytes);

/// One message of `bytes` between two devices, over the innermost level that joins them, while their neighbours do alike.
double sendSeconds(const machine::Machine &machine, const machine::Stack &stack, int64_t from, int64_t to,
                   double bytes);

} // namespace mpopt::cost

#endif // MPOPT_COST_TRAINING_TRAFFIC_H
