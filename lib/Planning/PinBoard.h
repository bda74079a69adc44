#ifndef MPOPT_LIB_PLANNING_PINBOARD_H
#define MPOPT_LIB_PLANNING_PINBOARD_H

#include "Mesh.h"
#include "llvm/Support/GlobPattern.h"

namespace mpopt::planning {

/// The user's pins, and which of them have found something to hold.
class PinBoard {
public:
  /// Errors: a bad wildcard, an axis that the mesh lacks, or one named twice.
  static Result<PinBoard> make(const std::vector<Pin> &pins, const PlanMesh &mesh);

  /// The last pin for a name and rank, or null. Counts as found.
  const Pin *find(llvm::StringRef name, int64_t rank);
  bool meets(const Pin &pin, shd::ShardingAttr sharding, const PlanMesh &mesh) const;
  bool empty() const { return pins.empty(); }
  /// Error when a pin has found nothing.
  Status checkAllFound() const;

private:
  struct Entry {
    Pin pin;
    llvm::GlobPattern pattern;
    bool found = false;
  };
  std::vector<Entry> pins;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_PINBOARD_H
