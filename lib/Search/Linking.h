#ifndef MPOPT_LIB_SEARCH_LINKING_H
#define MPOPT_LIB_SEARCH_LINKING_H

#include "Model.h"

namespace mpopt::search {

/// A problem in which nodes that look alike must choose alike.
struct Linked {
  Problem problem;            ///< A node per group.
  std::vector<int32_t> group; ///< Per node of the problem: its group.

  /// A strategy per node of the problem.
  std::vector<int32_t> expand(const std::vector<int32_t> &choice) const;
};

/// Links nodes of equal costs and usages that look alike for two edges around: the nodes of equal layers, but for the outermost. Its plans are
/// plans of the problem, of equal cost and memory. Nothing where so few are alike that such a plan says little.
std::optional<Linked> link(const Problem &problem);

/// The choice of a reduced model that comes nearest to a choice of strategies of its problem: what was ruled out is replaced by what is
/// cheapest beside the rest.
std::vector<int32_t> nearestChoice(const Model &model, const std::vector<int32_t> &strategies);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_LINKING_H
