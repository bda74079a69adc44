#include "PinBoard.h"

using namespace mlir;

namespace mpopt::planning {

static Status checkAxes(const Pin &pin, const PlanMesh &mesh) {
  llvm::SmallVector<StringRef> seen;
  for (const DimPin &dim : pin.dims)
    for (const std::string &axis : dim.axes) {
      if (!mesh.attr.find(axis)) {
        std::string known;
        for (StringAttr name : mesh.axes)
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

Result<PinBoard> PinBoard::make(const std::vector<Pin> &pins, const PlanMesh &mesh) {
  PinBoard board;
  for (const Pin &pin : pins) {
    if (Status checked = checkAxes(pin, mesh); !checked)
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

} // namespace mpopt::planning
