#ifndef MPOPT_TEST_UNIT_SEARCH_TRANSFORMERPROBLEM_H
#define MPOPT_TEST_UNIT_SEARCH_TRANSFORMERPROBLEM_H

#include "mpopt/Search/Problem.h"

#include <array>
#include <cmath>
#include <map>

namespace mpopt::search {

/// A chain of transformer layers over 2^axes devices, in the form planning gives it: a strategy says by how many axes a node
/// splits batch, sequence, output features and reduction; edges charge for changing layouts and for partial sums.
class TransformerProblem {
public:
  TransformerProblem(int layers, int axes) : axes(axes), end(layers * 20 + 2) {
    int32_t stream = add("embed", 1e6, 1e7, false, {});
    for (int layer = 0; layer < layers; ++layer)
      stream = addLayer("l" + std::to_string(layer) + ".", stream);
    add("head", 2e7, 2e7, true, {stream});
    for (int32_t node = 0; node < int32_t(lastUser.size()); ++node)
      problem.nodes[size_t(node)].usages[1].interval.last = lastUser[size_t(node)] + 1;
  }

  Problem problem;

private:
  using Split = std::array<int, 4>; ///< Axes on batch, sequence, features, reduction.

  int32_t addLayer(const std::string &name, int32_t stream) {
    int32_t norm1 = add(name + "norm1", 1e6, 1e3, false, {stream});
    std::array<int32_t, 3> heads;
    for (int i = 0; i < 3; ++i) {
      int32_t projected = add(name + "qkv" + std::to_string(i), 1e8, 1e6, true, {norm1});
      heads[size_t(i)] = add(name + "heads" + std::to_string(i), 1e6, 0, false, {projected});
    }
    int32_t scores = add(name + "scores", 3e7, 0, false, {heads[0], heads[1]});
    int32_t softmax = add(name + "softmax", 4e6, 0, false, {scores});
    int32_t mixed = add(name + "mixed", 3e7, 0, false, {softmax, heads[2]});
    int32_t merged = add(name + "merged", 1e6, 0, false, {mixed});
    int32_t projected = add(name + "proj", 1e8, 1e6, true, {merged});
    int32_t sum1 = add(name + "sum1", 1e6, 0, false, {stream, projected});
    int32_t norm2 = add(name + "norm2", 1e6, 1e3, false, {sum1});
    int32_t up = add(name + "up", 4e8, 4e6, true, {norm2});
    int32_t gelu = add(name + "gelu", 4e6, 0, false, {up});
    int32_t down = add(name + "down", 4e8, 4e6, true, {gelu});
    return add(name + "sum2", 1e6, 0, false, {sum1, down});
  }

  std::vector<Split> strategies(bool matmul) const {
    std::vector<Split> result;
    for (int b = 0; b <= axes; ++b)
      for (int s = 0; b + s <= axes; ++s)
        for (int n = 0; b + s + n <= axes; ++n)
          for (int k = 0; b + s + n + k <= axes && (matmul || k == 0); ++k)
            result.push_back({b, s, n, k});
    return result;
  }

  int32_t add(const std::string &name, double flops, double weights, bool matmul, const std::vector<int32_t> &inputs) {
    int32_t index = int32_t(problem.nodes.size());
    Node node;
    node.name = name;
    node.usages = {{{0, end}, {}}, {{index, end}, {}}};
    for (const Split &split : strategies(matmul)) {
      auto [b, s, n, k] = split;
      node.costs.push_back(flops / 1e13 / std::exp2(b + s + n + k) * (1 + 0.02 * (s + 2 * k)) + 2e-6);
      node.usages[0].usages.push_back(int64_t(weights * 4 / std::exp2(n + k)));
      node.usages[1].usages.push_back(int64_t(4e6 / std::exp2(b + s + n)));
    }
    problem.nodes.push_back(std::move(node));
    matmuls.push_back(matmul);
    lastUser.push_back(index);
    for (int32_t input : inputs) {
      problem.edges.push_back({input, index, layoutMatrix(matmuls[size_t(input)], matmul)});
      lastUser[size_t(input)] = index;
    }
    return index;
  }

  int32_t layoutMatrix(bool from, bool to) {
    auto [entry, fresh] = known.try_emplace({from, to}, int32_t(problem.matrices.size()));
    if (!fresh)
      return entry->second;
    std::vector<Split> rows = strategies(from), cols = strategies(to);
    Matrix matrix{int32_t(rows.size()), int32_t(cols.size()), {}};
    for (const Split &row : rows)
      for (const Split &col : cols) // a matmul wants its reduction split where others want features split
        matrix.values.push_back(reshard(row, {col[0], col[1], to ? col[3] : col[2], 0}));
    problem.matrices.push_back(std::move(matrix));
    return entry->second;
  }

  static double reshard(const Split &from, const Split &to) {
    double bytes = 4e6 / std::exp2(from[0] + from[1] + from[2]), moved = 0;
    for (int d = 0; d < 3; ++d)
      moved += from[size_t(d)] > to[size_t(d)] ? std::exp2(from[size_t(d)] - to[size_t(d)]) - 1 : 0;
    double reduced = from[3] > 0 ? 2 * (1 - std::exp2(-from[3])) : 0;
    double steps = (moved > 0) + (reduced > 0);
    return (moved + reduced) * bytes / 2e11 + steps * 1e-5;
  }

  int axes;
  int64_t end;
  std::vector<bool> matmuls;
  std::vector<int64_t> lastUser;
  std::map<std::pair<bool, bool>, int32_t> known;
};

} // namespace mpopt::search

#endif // MPOPT_TEST_UNIT_SEARCH_TRANSFORMERPROBLEM_H
