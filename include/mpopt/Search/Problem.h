#ifndef MPOPT_SEARCH_PROBLEM_H
#define MPOPT_SEARCH_PROBLEM_H

#include "mpopt/Support/Result.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace mpopt::search {

/// The cost of a strategy or of a pair of strategies that must not be chosen.
inline constexpr double kForbidden = std::numeric_limits<double>::infinity();

/// Half-open; empty when last <= first, and then it takes no memory.
struct Interval {
  int64_t first = 0;
  int64_t last = 0;

  bool empty() const { return last <= first; }
};

/// Memory that a node takes during one interval: a weight lives always, an
/// output from its producer to its last user.
struct UsageComponent {
  Interval interval;
  std::vector<int64_t> usages; ///< Per strategy, >= 0.
};

/// One decision.
struct Node {
  std::string name;                   ///< For messages; need not be unique.
  std::vector<double> costs;          ///< Per strategy: finite or kForbidden.
  std::vector<UsageComponent> usages; ///< May be empty.
};

/// Costs of the pairs of strategies of two nodes, row-major; finite or
/// kForbidden. Edges share equal matrices.
struct Matrix {
  int32_t rows = 0;
  int32_t cols = 0;
  std::vector<double> values;

  double at(int32_t row, int32_t col) const { return values[static_cast<size_t>(row) * cols + col]; }
};

/// Adds matrices[matrix].at(choice[from], choice[to]). Several edges may join
/// the same nodes, in either direction.
struct Edge {
  int32_t from = 0;
  int32_t to = 0;
  int32_t matrix = 0;
};

/// Choose one strategy per node so that the summed cost of nodes and edges is
/// least while at no time the live usages exceed the limit.
struct Problem {
  std::string name;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<Matrix> matrices;
  std::optional<int64_t> usageLimit;
};

/// An answer, with how good it is known to be.
struct Solution {
  std::vector<int32_t> choice; ///< Per node.
  double cost = 0;
  double lowerBound = 0; ///< No plan within the limit costs less.
  bool optimal = false;  ///< cost is within rounding (1e-9 of the costs' scale)
                         ///< of lowerBound.
  int64_t peak = 0;      ///< Most memory live at one time under `choice`.
  double seconds = 0;    ///< Time the solver took; for people, never for decisions.
};

/// Whether the problem is well-formed: sizes and indices agree, no NaN, no
/// negative usage, no node without strategies.
Status check(const Problem &problem);

/// Cost of a choice, recomputed from the problem alone. Errors: wrong length,
/// an index out of range, a forbidden strategy or pair, memory over the limit,
/// or solution.cost or solution.peak that disagree with what is found, or
/// lowerBound > cost.
Result<double> verify(const Problem &problem, const Solution &solution);

/// Most memory live at one time; `choice` has one valid strategy per node.
int64_t peakUsage(const Problem &problem, const std::vector<int32_t> &choice);

/// Summed cost of nodes and edges; kForbidden when a forbidden strategy or pair
/// is chosen. `choice` as above.
double totalCost(const Problem &problem, const std::vector<int32_t> &choice);

} // namespace mpopt::search

#endif // MPOPT_SEARCH_PROBLEM_H
