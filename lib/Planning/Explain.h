#ifndef MPOPT_LIB_PLANNING_EXPLAIN_H
#define MPOPT_LIB_PLANNING_EXPLAIN_H

#include "Layouts.h"
#include "mpopt/Planning/Planning.h"

namespace mpopt::planning {

/// Groups the operators of a plan into blocks, repeated layers as one, and says for each what was decided and what the next best decision would
/// cost, with the words of a decision forbidden wherever the block stands and everything else free (search::Alternatives).
/// `perOperator` is the report's list of operators, in the order of the decisions. The number of questions asked is limited by the
/// size of the problem, never by the clock; what is left out says so.
std::vector<BlockReport> explainPlan(const Model &model, const search::Solution &solution, const Layouts &layouts,
                                     llvm::ArrayRef<OpReport> perOperator);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_EXPLAIN_H
