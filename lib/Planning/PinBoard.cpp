#include "PinBoard.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace mpopt::planning {

static Status checkAxes(const Pin &pin, ArrayRef<PlanMesh> meshes) {
  llvm::SmallVector<StringRef> seen;
  for (const DimPin &dim : pin.dims)
    for (const std::string &axis : dim.axes) {
      if (llvm::none_of(meshes, [&](const PlanMesh &mesh) { return mesh.attr.find(axis); })) {
        llvm::SetVector<StringAttr> names;
        for (const PlanMesh &mesh : meshes)
          names.insert(mesh.axes.begin(), mesh.axes.end());
        std::string known;
        for (StringAttr name : names)
          known += (known.empty() ? "" : ", ") + name.str();
        return error("pin '" + pin.pattern + "' names the mesh axis '" + axis + "'; the axes are " +
                     (known.empty() ? "none" : known));
      }
      if (llvm::is_contained(seen, axis))
        return error("pin '" + pin.pattern + "' uses the mesh axis '" + axis + "' twice");
      seen.push_back(axis);
    }
  return {};
}

Result<PinBoard> PinBoard::make(const std::vector<Pin> &pins, const std::vector<NodePin> &nodePins,
                                ArrayRef<PlanMesh> meshes) {
  PinBoard board;
  for (const NodePin &pin : nodePins) {
    board.nodePins.push_back(&pin);
    board.byNode[pin.node].push_back(&pin);
  }
  for (const Pin &pin : pins) {
    if (Status checked = checkAxes(pin, meshes); !checked)
      return tl::make_unexpected(checked.error());
    llvm::Expected<llvm::GlobPattern> pattern = llvm::GlobPattern::create(pin.pattern);
    if (!pattern)
      return error("pin '" + pin.pattern + "': " + llvm::toString(pattern.takeError()));
    board.pins.push_back({pin, std::move(*pattern)});
  }
  return board;
}

const Pin *PinBoard::find(StringRef name, int64_t rank) {
  const Pin *last = nullptr;
  for (Entry &entry : pins) {
    if (static_cast<int64_t>(entry.pin.dims.size()) != rank ||
        (entry.pin.pattern != name && !entry.pattern.match(name)))
      continue;
    entry.found = true;
    last = &entry.pin;
  }
  return last;
}

bool PinBoard::meets(const Pin &pin, shd::ShardingAttr sharding, const PlanMesh &mesh) const {
  auto meetsDim = [&](const DimPin &wanted, shd::DimShardingAttr dim) {
    if (wanted.ways)
      return mesh.attr.sizeOf(dim.getAxes()) == *wanted.ways;
    return llvm::equal(wanted.axes, dim.getAxes(),
                       [](const std::string &a, StringAttr b) { return b.getValue() == a; });
  };
  return llvm::equal(pin.dims, sharding.getDims(), meetsDim);
}

Status PinBoard::checkAllFound() const {
  for (const Entry &entry : pins)
    if (!entry.found)
      return error("pin '" + entry.pin.pattern + "' fits nothing: no node, input, output or weight of that name has " +
                   std::to_string(entry.pin.dims.size()) + " dimensions");
  return {};
}

ArrayRef<const NodePin *> PinBoard::ofNode(StringRef node) const {
  auto it = byNode.find(node);
  return it == byNode.end() ? ArrayRef<const NodePin *>() : ArrayRef<const NodePin *>(it->second);
}

/// Elements of a dimension on the first device.
static int64_t localSize(int64_t size, int64_t block, int64_t ways) { return (size / block + ways - 1) / ways * block; }

bool PinBoard::meets(const NodePin &pin, shd::ShardingAttr sharding, ArrayRef<int64_t> shape, const PlanMesh &mesh) {
  auto rank = static_cast<int64_t>(shape.size());
  SmallVector<bool> listed(rank, false);
  for (const NodePin::Dim &wanted : pin.dims) {
    int64_t d = wanted.dim < 0 ? wanted.dim + rank : wanted.dim;
    if (d < 0 || d >= rank)
      return false;
    listed[d] = true;
    shd::DimShardingAttr dim = sharding.getDims()[d];
    int64_t ways = mesh.attr.sizeOf(dim.getAxes());
    bool same = wanted.split.ways ? ways == *wanted.split.ways
                                  : llvm::equal(wanted.split.axes, dim.getAxes(),
                                                [](const std::string &a, StringAttr b) { return b.getValue() == a; });
    if (same && wanted.blocks)
      same = *wanted.blocks > 0 && shape[d] % *wanted.blocks == 0 &&
             localSize(shape[d], shape[d] / *wanted.blocks, ways) == localSize(shape[d], dim.getBlock(), ways);
    if (!same)
      return false;
  }
  for (auto [whole, dim] : llvm::zip_equal(listed, sharding.getDims()))
    if (!whole && !dim.getAxes().empty())
      return false;
  return sharding.getUnreduced().empty();
}

std::string PinBoard::ignoredText() const {
  size_t unmet = 0, absent = 0;
  const NodePin *first = nullptr;
  for (const NodePin *pin : nodePins) {
    if (honoured.contains(pin) && !refused.contains(pin))
      continue;
    ++(refused.contains(pin) ? unmet : absent);
    if (!first)
      first = pin;
  }
  if (!first)
    return "";
  std::string text = "of " + std::to_string(nodePins.size()) + " shardings that the model's annotations ask for, ";
  if (unmet)
    text += std::to_string(unmet) + " cannot be had (no way to split the operator gives them)";
  if (unmet && absent)
    text += " and ";
  if (absent)
    text += std::to_string(absent) + " belong to nodes or tensors that are part of something larger here";
  return text + "; they are ignored, the first that of tensor '" + first->tensor + "' at node '" + first->node + "'";
}

} // namespace mpopt::planning
