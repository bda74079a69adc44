#include "Names.h"
#include "mpopt/Planning/Planning.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace mpopt::planning {

StringRef nodeName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (StringRef name = nodeName(part); !name.empty())
        return name;
  return {};
}

static void printAxes(llvm::raw_ostream &os, ArrayRef<StringAttr> axes) {
  llvm::interleave(axes, os, [&](StringAttr axis) { os << axis.getValue(); }, " ");
}

std::string text(shd::ShardingAttr sharding) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "[";
  llvm::interleaveComma(sharding.getDims(), os, [&](shd::DimShardingAttr dim) {
    printAxes(os, dim.getAxes());
    if (dim.getAxes().empty())
      os << "-";
  });
  os << "]";
  if (!sharding.getUnreduced().empty()) {
    os << " partial ";
    printAxes(os, sharding.getUnreduced());
  }
  return text;
}

std::string text(ArrayRef<shd::ShardingAttr> in, ArrayRef<shd::ShardingAttr> out) {
  std::string result;
  for (shd::ShardingAttr sharding : in)
    result += text(sharding) + " ";
  result += "->";
  for (shd::ShardingAttr sharding : out)
    result += " " + text(sharding);
  return result;
}

std::string shardingText(shd::ShardingAttr sharding) {
  std::string text;
  llvm::raw_string_ostream os(text);
  auto axes = [&](ArrayRef<StringAttr> axes) {
    llvm::interleave(axes, os, [&](StringAttr axis) { os << axis.getValue(); }, ",");
  };
  os << "[";
  for (auto [i, dim] : llvm::enumerate(sharding.getDims())) {
    os << (i ? "," : "") << "{";
    axes(dim.getAxes());
    os << "}";
    if (dim.getBlock() != 1)
      os << ":" << dim.getBlock();
  }
  os << "]";
  if (sharding.getUnreduced().empty())
    return text;
  os << " partial over ";
  axes(sharding.getUnreduced());
  if (sharding.getReduce() != shd::ReduceKind::Sum)
    os << " by " << shd::stringifyReduceKind(sharding.getReduce());
  return text;
}

std::string meshText(ModuleOp planned) {
  SmallVector<func::FuncOp> functions = getPlannedFunctions(planned);
  if (functions.empty() || !functions.front()->hasAttr(shd::kMeshAttr))
    return meshText(shd::getMesh(planned).getMesh());
  std::string text;
  for (func::FuncOp function : functions) {
    shd::MeshAttr mesh = shd::getMesh(function).getMesh();
    text += (text.empty() ? "" : "|") + (mesh.getAxes().empty() ? "1" : meshText(mesh));
  }
  return text;
}

std::string meshText(shd::MeshAttr mesh) {
  std::string text;
  for (shd::MeshAxisAttr axis : mesh.getAxes())
    text += (text.empty() ? "" : ",") + axis.getName().str() + "=" + std::to_string(axis.getSize());
  return text;
}

} // namespace mpopt::planning
