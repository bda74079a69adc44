#include "mpopt/Search/Problem.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mpopt::search {

static std::string describe(const Problem &problem, size_t node) {
  return "node " + std::to_string(node) + " ('" + problem.nodes[node].name + "')";
}

static bool validCost(double cost) { return cost == kForbidden || std::isfinite(cost); }

static Status checkNode(const Problem &problem, size_t index) {
  const Node &node = problem.nodes[index];
  if (node.costs.empty())
    return error(describe(problem, index) + " has no strategies; give it at least one");
  if (!std::all_of(node.costs.begin(), node.costs.end(), validCost))
    return error(describe(problem, index) + " has a cost that is neither finite nor forbidden");
  for (const UsageComponent &component : node.usages) {
    if (component.usages.size() != node.costs.size())
      return error(describe(problem, index) + " has " + std::to_string(node.costs.size()) +
                   " strategies but a usage list of " + std::to_string(component.usages.size()));
    if (std::any_of(component.usages.begin(), component.usages.end(), [](int64_t usage) { return usage < 0; }))
      return error(describe(problem, index) + " has a negative usage");
  }
  return {};
}

static Status checkMatrix(const Problem &problem, size_t index) {
  const Matrix &matrix = problem.matrices[index];
  if (matrix.rows < 0 || matrix.cols < 0 || matrix.values.size() != size_t(matrix.rows) * size_t(matrix.cols))
    return error("matrix " + std::to_string(index) + " does not hold rows x columns values");
  if (!std::all_of(matrix.values.begin(), matrix.values.end(), validCost))
    return error("matrix " + std::to_string(index) + " has a cost that is neither finite nor forbidden");
  return {};
}

static Status checkEdge(const Problem &problem, size_t index) {
  const Edge &edge = problem.edges[index];
  std::string name = "edge " + std::to_string(index);
  auto inRange = [](int32_t value, size_t size) { return value >= 0 && size_t(value) < size; };
  if (!inRange(edge.from, problem.nodes.size()) || !inRange(edge.to, problem.nodes.size()))
    return error(name + " names a node that does not exist");
  if (edge.from == edge.to)
    return error(name + " joins " + describe(problem, edge.from) + " to itself; add its diagonal to the node's costs");
  if (!inRange(edge.matrix, problem.matrices.size()))
    return error(name + " names a matrix that does not exist");
  const Matrix &matrix = problem.matrices[edge.matrix];
  if (size_t(matrix.rows) != problem.nodes[edge.from].costs.size() ||
      size_t(matrix.cols) != problem.nodes[edge.to].costs.size())
    return error(name + " has a matrix whose size is not the strategies of " + describe(problem, edge.from) +
                 " by those of " + describe(problem, edge.to));
  return {};
}

Status check(const Problem &problem) {
  for (size_t i = 0; i < problem.nodes.size(); ++i)
    if (Status status = checkNode(problem, i); !status)
      return status;
  for (size_t i = 0; i < problem.matrices.size(); ++i)
    if (Status status = checkMatrix(problem, i); !status)
      return status;
  for (size_t i = 0; i < problem.edges.size(); ++i)
    if (Status status = checkEdge(problem, i); !status)
      return status;
  if (problem.usageLimit && *problem.usageLimit < 0)
    return error("the usage limit is negative");
  return {};
}

double totalCost(const Problem &problem, const std::vector<int32_t> &choice) {
  double cost = 0;
  for (size_t i = 0; i < problem.nodes.size(); ++i)
    cost += problem.nodes[i].costs[choice[i]];
  for (const Edge &edge : problem.edges)
    cost += problem.matrices[edge.matrix].at(choice[edge.from], choice[edge.to]);
  return cost;
}

int64_t peakUsage(const Problem &problem, const std::vector<int32_t> &choice) {
  std::vector<std::pair<int64_t, int64_t>> changes;
  for (size_t i = 0; i < problem.nodes.size(); ++i)
    for (const UsageComponent &component : problem.nodes[i].usages) {
      if (component.interval.empty())
        continue;
      changes.emplace_back(component.interval.first, component.usages[choice[i]]);
      changes.emplace_back(component.interval.last, -component.usages[choice[i]]);
    }
  // Intervals are half-open: at equal times what ends (negative) goes before
  // what starts.
  std::sort(changes.begin(), changes.end());
  int64_t live = 0, peak = 0;
  for (auto [time, change] : changes)
    peak = std::max(peak, live += change);
  return peak;
}

/// The scale against which rounding of a plan's cost is judged.
static double magnitude(const Problem &problem, const std::vector<int32_t> &choice) {
  double sum = 0;
  for (size_t i = 0; i < problem.nodes.size(); ++i)
    sum += std::abs(problem.nodes[i].costs[choice[i]]);
  for (const Edge &edge : problem.edges)
    sum += std::abs(problem.matrices[edge.matrix].at(choice[edge.from], choice[edge.to]));
  return sum;
}

Result<double> verify(const Problem &problem, const Solution &solution) {
  const std::vector<int32_t> &choice = solution.choice;
  if (choice.size() != problem.nodes.size())
    return error("the solution decides " + std::to_string(choice.size()) + " nodes of " +
                 std::to_string(problem.nodes.size()));
  for (size_t i = 0; i < choice.size(); ++i)
    if (choice[i] < 0 || size_t(choice[i]) >= problem.nodes[i].costs.size())
      return error("the solution gives " + describe(problem, i) + " strategy " + std::to_string(choice[i]) +
                   ", which it does not have");
  double cost = totalCost(problem, choice);
  if (!std::isfinite(cost))
    return error("the solution uses a forbidden strategy or pair of strategies");
  int64_t peak = peakUsage(problem, choice);
  if (problem.usageLimit && peak > *problem.usageLimit)
    return error("the solution needs " + std::to_string(peak) + " of memory, over the limit of " +
                 std::to_string(*problem.usageLimit));
  double rounding = 1e-9 * magnitude(problem, choice);
  if (!(std::abs(solution.cost - cost) <= rounding))
    return error("the solution claims cost " + std::to_string(solution.cost) + " but costs " + std::to_string(cost));
  if (solution.peak != peak)
    return error("the solution claims a peak of " + std::to_string(solution.peak) + " but has " + std::to_string(peak));
  if (!(solution.lowerBound <= cost + rounding))
    return error("the solution costs less than its lower bound");
  return cost;
}

} // namespace mpopt::search
