#ifndef MPOPT_LIB_PLANNING_TRANSFER_H
#define MPOPT_LIB_PLANNING_TRANSFER_H

#include "mpopt/Machine/Machine.h"

namespace mpopt::planning {

/// Sending between devices of different stages.
class Transfer {
public:
  /// Over the outermost link that `devices` devices need. The machine must outlive it.
  Transfer(const machine::Machine &machine, int64_t devices) {
    int64_t reach = 1;
    for (const machine::Link &candidate : machine.links) {
      link = &candidate;
      reach *= candidate.count;
      if (reach >= devices)
        break;
    }
  }

  /// Of what a stage takes for one microbatch, on one device.
  double seconds(int64_t bytes) const { return bytes == 0 || !link ? 0 : link->latencySeconds + passing(bytes); }
  /// The part of that which grows with the bytes.
  double passing(int64_t bytes) const { return link ? static_cast<double>(bytes) / link->bandwidth : 0; }

private:
  const machine::Link *link = nullptr;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_TRANSFER_H
