#include "Linking.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace mpopt::search {
namespace {

/// How far around nodes must look alike. Two edges tell the parts of a layer apart; each further one would set two more layers apart from the
/// rest, one from each end.
constexpr int kRounds = 2;
/// With fewer nodes to a group, a plan for the groups says little.
constexpr size_t kNodesPerGroup = 3;

using Colours = std::vector<int32_t>;

/// Numbers keys in the order in which they first come up.
template <typename Key> class Numbering {
public:
  int32_t of(Key key) { return numbers.try_emplace(std::move(key), int32_t(numbers.size())).first->second; }
  size_t size() const { return numbers.size(); }

private:
  std::map<Key, int32_t> numbers;
};

/// Nodes of equal costs and usages, whenever these are.
Colours firstColours(const Problem &problem) {
  Numbering<std::pair<std::vector<double>, std::vector<std::vector<int64_t>>>> numbers;
  Colours colours;
  for (const Node &node : problem.nodes) {
    std::vector<std::vector<int64_t>> usages;
    for (const UsageComponent &usage : node.usages)
      usages.push_back(usage.usages);
    colours.push_back(numbers.of({node.costs, std::move(usages)}));
  }
  return colours;
}

/// An edge as one of its nodes sees it: matrix, own side, colour of the other node.
using Sight = std::tuple<int32_t, int, int32_t>;

/// Tells nodes of one colour apart by the colours of their neighbours. Returns the number of colours.
size_t refine(const Problem &problem, Colours &colours) {
  std::vector<std::vector<Sight>> sights(colours.size());
  for (const Edge &edge : problem.edges) {
    sights[size_t(edge.from)].push_back({edge.matrix, 0, colours[size_t(edge.to)]});
    sights[size_t(edge.to)].push_back({edge.matrix, 1, colours[size_t(edge.from)]});
  }
  Numbering<std::pair<int32_t, std::vector<Sight>>> numbers;
  for (size_t node = 0; node < colours.size(); ++node) {
    std::sort(sights[node].begin(), sights[node].end());
    colours[node] = numbers.of({colours[node], std::move(sights[node])});
  }
  return numbers.size();
}

/// Empty where few nodes are alike.
Colours groupsOf(const Problem &problem) {
  Colours colours = firstColours(problem);
  size_t count = 0;
  for (int round = 0; round < kRounds; ++round)
    count = refine(problem, colours);
  return count * kNodesPerGroup <= problem.nodes.size() ? colours : Colours();
}

Matrix times(const Matrix &matrix, double count) {
  Matrix result = matrix;
  for (double &value : result.values)
    value *= count;
  return result;
}

class Linker {
public:
  Linker(const Problem &problem, Colours groups) : problem(problem) { linked.group = std::move(groups); }

  Linked run() {
    linked.problem.name = problem.name;
    linked.problem.usageLimit = problem.usageLimit;
    addNodes();
    addEdges();
    return std::move(linked);
  }

private:
  int32_t groupOf(int32_t node) const { return linked.group[size_t(node)]; }

  /// Groups are numbered by their first nodes.
  void addNodes() {
    std::vector<Node> &nodes = linked.problem.nodes;
    for (size_t i = 0; i < problem.nodes.size(); ++i) {
      const Node &node = problem.nodes[i];
      auto group = size_t(linked.group[i]);
      if (group == nodes.size()) {
        nodes.push_back(node);
        continue;
      }
      Node &all = nodes[group];
      for (size_t s = 0; s < all.costs.size(); ++s)
        all.costs[s] += node.costs[s];
      all.usages.insert(all.usages.end(), node.usages.begin(), node.usages.end());
    }
  }

  void addEdges() {
    std::map<std::tuple<int32_t, int32_t, int32_t>, int> counts;
    for (const Edge &edge : problem.edges)
      ++counts[{groupOf(edge.from), groupOf(edge.to), edge.matrix}];
    for (const auto &[key, count] : counts) {
      auto [from, to, matrix] = key;
      if (from == to)
        addInner(linked.problem.nodes[size_t(from)], problem.matrices[size_t(matrix)], count);
      else
        linked.problem.edges.push_back({from, to, scaled(matrix, count)});
    }
  }

  /// Both ends choose alike, so the edge is a cost of the node.
  static void addInner(Node &node, const Matrix &matrix, int count) {
    for (int32_t s = 0; s < matrix.rows; ++s)
      node.costs[size_t(s)] += count * matrix.at(s, s);
  }

  int32_t scaled(int32_t matrix, int count) {
    std::vector<Matrix> &matrices = linked.problem.matrices;
    auto [it, isNew] = numbers.try_emplace({matrix, count}, int32_t(matrices.size()));
    if (isNew)
      matrices.push_back(times(problem.matrices[size_t(matrix)], count));
    return it->second;
  }

  const Problem &problem;
  Linked linked;
  std::map<std::pair<int32_t, int>, int32_t> numbers;
};

/// The cheapest strategy beside neighbours that are chosen already.
int32_t cheapest(const Model &model, int32_t variable, const std::vector<int32_t> &choice) {
  std::vector<double> costs = model.variables[size_t(variable)].costs;
  for (int32_t index : model.variables[size_t(variable)].arcs) {
    const Arc &arc = model.arcs[size_t(index)];
    int side = model.side(arc, variable);
    if (int32_t other = choice[size_t(arc.ends[1 - side])]; other >= 0)
      for (size_t s = 0; s < costs.size(); ++s)
        costs[s] += arc.from(side, int32_t(s), other);
  }
  return int32_t(std::min_element(costs.begin(), costs.end()) - costs.begin());
}

} // namespace

std::vector<int32_t> Linked::expand(const std::vector<int32_t> &choice) const {
  std::vector<int32_t> result;
  for (int32_t number : group)
    result.push_back(choice[size_t(number)]);
  return result;
}

std::optional<Linked> link(const Problem &problem) {
  Colours groups = groupsOf(problem);
  if (groups.empty())
    return std::nullopt;
  return Linker(problem, std::move(groups)).run();
}

std::vector<int32_t> nearestChoice(const Model &model, const std::vector<int32_t> &strategies) {
  std::vector<int32_t> choice(model.variables.size(), -1);
  for (size_t v = 0; v < choice.size(); ++v) {
    const Variable &variable = model.variables[v];
    auto at =
        std::lower_bound(variable.strategies.begin(), variable.strategies.end(), strategies[size_t(variable.node)]);
    if (at != variable.strategies.end() && *at == strategies[size_t(variable.node)])
      choice[v] = int32_t(at - variable.strategies.begin());
  }
  for (size_t v = 0; v < choice.size(); ++v)
    if (choice[v] < 0)
      choice[v] = cheapest(model, int32_t(v), choice);
  return choice;
}

} // namespace mpopt::search
