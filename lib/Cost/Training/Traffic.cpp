#include "mpopt/Cost/Training/Traffic.h"

#include <algorithm>
#include <cmath>

namespace mpopt::cost {

using machine::Link;
using machine::Machine;
using machine::Stack;

namespace {

double bandwidthOf(const Machine &machine, const Stack &stack, size_t level) {
  return machine.links[level].bandwidth * (level == 0 ? stack.intraLink : stack.interLink);
}

/// Calls visit(level, members of the group inside one unit of the level below, groups of the level that it spans) for
/// each level that the group crosses.
template <typename Visit> void eachLevel(const Machine &machine, RankGroup group, Visit visit) {
  int64_t unit = 1; // devices of one unit of the level
  for (size_t level = 0; level < machine.links.size(); ++level) {
    int64_t below = unit;
    unit *= machine.links[level].count;
    int64_t inside = std::clamp<int64_t>(below / group.stride, 1, group.ranks);
    int64_t spanned = std::clamp<int64_t>(unit / group.stride, 1, group.ranks);
    bool outermost = level + 1 == machine.links.size();
    if ((outermost ? group.ranks : spanned) > inside)
      visit(level, inside, (outermost ? group.ranks : spanned) / inside);
  }
}

/// Once around.
struct Ring {
  double transfer = 0;
  double hops = 0;     ///< Latency of every hop.
  double treeHops = 0; ///< Latency of a tree's depth instead.
};

Ring ringOf(const Machine &machine, const Stack &stack, RankGroup group, double bytes) {
  Ring ring;
  double n = double(group.ranks);
  eachLevel(machine, group, [&](size_t level, int64_t inside, int64_t units) {
    double rate = bandwidthOf(machine, stack, level) * double(level == 0 ? 1 : inside);
    double latency = stack.latency * machine.links[level].latencySeconds;
    ring.transfer = std::max(ring.transfer, (n - 1) / n * bytes / rate);
    ring.hops += latency * double(units - 1);
    ring.treeHops += latency * std::ceil(std::log2(double(units)));
  });
  return ring;
}

} // namespace

RankGroup tensorGroup(const TrainingPlan &plan) { return {plan.tp, 1}; }
RankGroup contextGroup(const TrainingPlan &plan) { return {plan.cp, plan.tp}; }
RankGroup dataGroup(const TrainingPlan &plan) { return {plan.dp * plan.cp, plan.tp}; }
RankGroup expertGroup(const TrainingPlan &plan) { return {plan.ep, plan.tp * plan.cp}; }
int64_t stageDistance(const TrainingPlan &plan) { return plan.tp * plan.cp * plan.dp; }

double scatterSeconds(const Machine &machine, const Stack &stack, RankGroup group, double bytes) {
  Ring ring = ringOf(machine, stack, group, bytes);
  return ring.transfer + ring.hops;
}

double reduceSeconds(const Machine &machine, const Stack &stack, RankGroup group, double bytes) {
  Ring ring = ringOf(machine, stack, group, bytes);
  return 2 * (ring.transfer + ring.treeHops);
}

double exchangeSeconds(const Machine &machine, const Stack &stack, RankGroup group, double bytes) {
  double seconds = 0, reached = 1;
  eachLevel(machine, group, [&](size_t level, int64_t, int64_t units) {
    double peers = reached * double(units - 1);
    reached *= double(units);
    seconds += peers / double(group.ranks) * bytes / bandwidthOf(machine, stack, level) +
               stack.latency * machine.links[level].latencySeconds;
  });
  return seconds;
}

double sendSeconds(const Machine &machine, const Stack &stack, int64_t from, int64_t to, double bytes) {
  if (from == to)
    return 0;
  size_t level = 0;
  for (int64_t unit = machine.links[0].count; from / unit != to / unit && level + 1 < machine.links.size();)
    unit *= machine.links[++level].count;
  return stack.latency * machine.links[level].latencySeconds + bytes / bandwidthOf(machine, stack, level);
}

} // namespace mpopt::cost
