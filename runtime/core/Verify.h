#ifndef MPOPT_RUNTIME_CORE_VERIFY_H
#define MPOPT_RUNTIME_CORE_VERIFY_H

#include "core/PlanAccess.h"

#include <vector>

namespace mpopt::runtime {

/// Whether a plan that passed the FlatBuffers verifier means something that can be executed without leaving its buffers: every index
/// is in bounds, every buffer lies in its space, shapes fit bytes (without overflow), collectives fit their shapes and groups, sends
/// and receives pair up and no rank can wait forever, ports fit their buffers, file names stay in the plan's folder. What compiled kernels do with the buffers they are given
/// is their compiler's word.
Status verifyPlan(const plan::Plan &plan);

/// Whether `path` is relative and never climbs with "..".
bool isSafePath(std::string_view path);

/// Which of the weights of `program` (by index into Rank.weights) its init instructions write.
std::vector<bool> weightsWrittenByInit(const plan::Program &program, size_t numWeights);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_VERIFY_H
