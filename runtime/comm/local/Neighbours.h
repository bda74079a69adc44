#ifndef MPOPT_RUNTIME_COMM_LOCAL_NEIGHBOURS_H
#define MPOPT_RUNTIME_COMM_LOCAL_NEIGHBOURS_H

#include "core/PlanAccess.h"

namespace mpopt::runtime {

/// Whether members of this collective read from a few others only.
bool hasNeighbours(const plan::Collective &call);

/// The members, without itself, whose operands member `self` reads in a permute or a halo.
std::vector<size_t> sourcesOf(const plan::Collective &call, const plan::Buffer &source, const plan::Buffer &result,
                              size_t members, size_t self);

/// The group of the set that a rank is in (the verifier has seen that there is one), and the rank's place there.
struct GroupPlace {
  size_t number = 0, place = 0;
  std::span<const uint32_t> members;
};
GroupPlace groupOf(const plan::Plan &plan, size_t set, uint32_t rank);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_COMM_LOCAL_NEIGHBOURS_H
