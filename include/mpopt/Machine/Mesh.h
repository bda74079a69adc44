#ifndef MPOPT_MACHINE_MESH_H
#define MPOPT_MACHINE_MESH_H

#include "mpopt/Machine/Machine.h"

#include <string>
#include <vector>

namespace mpopt::machine {

/// One axis of a mesh: a prime number of positions, all joined by one link
/// level.
struct MeshAxis {
  std::string name;
  int64_t size = 1; ///< Prime.
  int level = 0;    ///< Index into Machine::links.

  bool operator==(const MeshAxis &) const = default;
};

/// Device d sits at the mixed-radix digits of d, the first axis being the most
/// significant.
struct Mesh {
  std::vector<MeshAxis> axes;

  int64_t devices() const;
  bool operator==(const Mesh &) const = default;
};

/// Lays `devices` devices out over the machine's levels: as many as possible on
/// the inner levels, the same number in every group, with axes x0, x1, ... from
/// the outermost level inwards. One device gives no axes. Errors: fewer than 1
/// device, more than the machine has, or a count that does not divide evenly
/// over its groups.
Result<Mesh> makeMesh(const Machine &machine, int64_t devices);

} // namespace mpopt::machine

#endif // MPOPT_MACHINE_MESH_H
