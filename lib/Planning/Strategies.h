#ifndef MPOPT_LIB_PLANNING_STRATEGIES_H
#define MPOPT_LIB_PLANNING_STRATEGIES_H

#include "Mesh.h"
#include "Roles.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"

namespace mpopt::planning {

/// One way to spread an operator, and what follows from it.
struct Candidate {
  shd::FactorSharding strategy;
  shd::OpShardings shardings;
};

/// What a forced layout asks of an operator.
struct RoleDemands {
  /// The parts of each factor (DimRoles::ofFactors).
  llvm::SmallVector<Segments> factors;
  /// The tensor axes must split something here, and no sequence.
  bool needsTensor = false;
  /// Factors that the tensor axes may then split: those of the weights, or of heads. One for each.
  llvm::SmallVector<bool> tensorFactors;
  /// Into how many parts each factor may be cut (DimUnits::ofFactors); 0 where nothing is known, as when there are none here.
  llvm::SmallVector<int64_t> parts;
};

/// All ways to deal the axes of the mesh to the factors of a rule, to tokens and experts at once, to partial results (PartitionRule::linearIn),
/// or to nothing. Axes
/// that nothing tells apart (same link level, size and role) are dealt in runs: a factor takes neighbouring ones, and a split over the
/// first two stands for one over any two. Beyond 3 axes the number of runs is limited (of all kinds of axes one may be cut in two), so that the
/// number of candidates grows in proportion to the number of axes. A factor is split only as far as each further axis leaves the devices less to do; a factor
/// that has known parts can be split in whole parts, and under a forced layout only so.
///
/// `linearSets[i]` says whether partial operands through rule.linearIn[i] make sense here. Under a forced layout the axes of a
/// role act as one, and only candidates that use the axes of every role as far as the operator allows are returned. Never
/// empty; the order is the same every time.
std::vector<Candidate> enumerateCandidates(const shd::PartitionRule &rule, const PlanMesh &mesh,
                                           llvm::ArrayRef<bool> linearSets, const RoleDemands &demands);

/// Devices over which the axes of a role split factors.
int64_t waysOf(Role role, const Candidate &candidate, const PlanMesh &mesh);

/// Whether one of a rule's factors counts experts.
bool hasExperts(const shd::PartitionRule &rule);

/// A rule for a value that is only moved, not computed on: one factor per dimension.
shd::PartitionRule identityRule(llvm::ArrayRef<int64_t> shape);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_STRATEGIES_H
