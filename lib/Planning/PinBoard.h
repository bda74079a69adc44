#ifndef MPOPT_LIB_PLANNING_PINBOARD_H
#define MPOPT_LIB_PLANNING_PINBOARD_H

#include "Mesh.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/GlobPattern.h"

namespace mpopt::planning {

/// The user's pins, and which of them have found something to hold.
class PinBoard {
public:
  /// `meshes`: the plan's, or those of its stages. Errors: a bad wildcard, an axis that all meshes lack, or one named twice.
  static Result<PinBoard> make(const std::vector<Pin> &pins, const std::vector<NodePin> &nodePins,
                               llvm::ArrayRef<PlanMesh> meshes);

  /// The last pin for a name and rank, or null. Counts as found.
  const Pin *find(llvm::StringRef name, int64_t rank);
  bool meets(const Pin &pin, shd::ShardingAttr sharding, const PlanMesh &mesh) const;
  bool empty() const { return pins.empty() && nodePins.empty(); }

  /// What annotations ask of a node.
  llvm::ArrayRef<const NodePin *> ofNode(llvm::StringRef node) const;
  /// Whether a sharding of a value of `shape` is what an annotation asks for.
  static bool meets(const NodePin &pin, shd::ShardingAttr sharding, llvm::ArrayRef<int64_t> shape,
                    const PlanMesh &mesh);
  /// Notes that an annotation holds, or that it cannot be honoured.
  void noteHonoured(const NodePin &pin) { honoured.insert(&pin); }
  void noteRefused(const NodePin &pin) { refused.insert(&pin); }
  /// One sentence about the annotations that are ignored; empty where there are none.
  std::string ignoredText() const;
  /// Error when a pin has found nothing.
  Status checkAllFound() const;

private:
  struct Entry {
    Pin pin;
    llvm::GlobPattern pattern;
    bool found = false;
  };
  std::vector<Entry> pins;
  std::vector<const NodePin *> nodePins;
  llvm::StringMap<llvm::SmallVector<const NodePin *, 4>> byNode; // looked up only
  llvm::DenseSet<const NodePin *> honoured, refused;             // looked up only
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_PINBOARD_H
