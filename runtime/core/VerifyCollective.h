#ifndef MPOPT_RUNTIME_CORE_VERIFYCOLLECTIVE_H
#define MPOPT_RUNTIME_CORE_VERIFYCOLLECTIVE_H

#include "core/PlanAccess.h"

namespace mpopt::runtime {

/// What does not fit between a collective and its buffers' shapes in a group of `members` ranks; empty when all fits.
std::string checkCollective(const plan::Collective &call, std::span<const int64_t> source,
                            std::span<const int64_t> result, uint64_t members);

/// The same for one that sends tokens to the experts that its second operand names.
std::string checkRouted(const plan::Collective &call, std::span<const int64_t> source, std::span<const int64_t> indices,
                        std::span<const int64_t> result, uint64_t members);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_VERIFYCOLLECTIVE_H
