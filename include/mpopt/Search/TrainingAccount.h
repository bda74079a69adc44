#ifndef MPOPT_SEARCH_TRAININGACCOUNT_H
#define MPOPT_SEARCH_TRAININGACCOUNT_H

#include "mpopt/Search/GraphPlanner.h"
#include "mpopt/Search/TrainingPlanner.h"

#include <string>

namespace mpopt::search {

/// A training plan as one JSON object on one line:
///   machine, device, device_bytes, stack, devices, global_batch; model (its sizes), flops_per_step
///   seconds, lower_bound_seconds, sequences_per_second, tokens_per_second, tflops_per_device
///   plan and, in runners_up, others, each with
///     text (shortText), seconds, compute_seconds (forward_seconds and backward_seconds, of the busiest stage), bubble_seconds, sync_seconds, optimizer_seconds, schedule, microbatches, interleave, zero,
///     memory_bytes, memory (fits, unsure, does not),
///     stages: first_device, devices, tp, dp, cp, ep, microbatch, layers ([first, count] of each chunk), recomputed (layers of each chunk by
///     full and selective), busy_seconds, sync_seconds, optimizer_seconds, memory_bytes, weights_bytes (parameters_bytes, gradients_bytes and optimizer_bytes),
///     activations_bytes, working_bytes, reserve_bytes
///   timeline, where it is wanted: of the plan, seconds until the last pass ends, passes (how many), stages: passes ([kind, microbatch, chunk, start, seconds] of
///     each; empty where there are more than 100,000 altogether)
///   layouts, priced: how many the search told apart, and how many it had to simulate.
/// Bytes and seconds are numbers; the same answer gives the same text.
std::string trainingAccount(const TrainingQuery &query, const TrainingAnswer &answer, bool withTimeline = true);

/// What a graph's blocks are called, and of which operators they are.
struct BlockNames {
  std::vector<std::string> names;
  std::vector<std::string> operators;
};

/// The same of a graph: without model and tokens_per_second, samples_per_second instead of sequences_per_second, and with stages: first_device,
/// devices, blocks (name, operators, split), busy_seconds, and bytes as above.
std::string trainingAccount(const GraphQuery &query, const GraphAnswer &answer, const BlockNames &blocks,
                            bool withTimeline = true);

/// "pp=1,mb=1024,zero=0": mb are the samples of one pass on all devices of a stage.
std::string shortText(const GraphQuery &query, const GraphCandidate &plan);

/// "dp=8,tp=4,pp=2,mb=1,schedule=1f1b,zero=1,recompute=none": a plan in short, as --strategy takes it where its stages are alike; "recompute=some"
/// where they recompute some layers. Of stages that differ: "pp=3,devices=4+2+2,schedule=1f1b,zero=1,recompute=none".
std::string shortText(const TrainingCandidate &plan);

} // namespace mpopt::search

#endif // MPOPT_SEARCH_TRAININGACCOUNT_H
