#include "FusedAxes.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Whether the two axes lie side by side: in a dimension, one right behind the other; or in what knows no order.
bool sideBySide(const PlainSharding &sharding, int axis, int next) {
  for (const PlainSharding::Axes &axes : sharding.dims) {
    const int *it = llvm::find(axes, axis), *other = llvm::find(axes, next);
    if (it != axes.end() || other != axes.end())
      return it != axes.end() && other != axes.end() && it + 1 == other;
  }
  return llvm::is_contained(sharding.unreduced, axis) == llvm::is_contained(sharding.unreduced, next);
}

} // namespace

AxisRuns commonRuns(const PlainSharding &from, const PlainSharding &to, const PlanMesh &mesh) {
  AxisRuns runs;
  for (int axis = 0; axis < static_cast<int>(mesh.size()); ++axis) {
    bool joins = axis > 0 && mesh.mesh.axes[axis - 1].level == mesh.mesh.axes[axis].level &&
                 sideBySide(from, axis - 1, axis) && sideBySide(to, axis - 1, axis);
    if (!joins)
      runs.push_back(axis);
  }
  return runs;
}

PlanMesh fusedMesh(const PlanMesh &mesh, const AxisRuns &runs) {
  PlanMesh result{{}, mesh.attr, mesh.symbol, {}, {}, {}};
  for (auto [index, first] : llvm::enumerate(runs)) {
    int end = index + 1 < runs.size() ? runs[index + 1] : static_cast<int>(mesh.size());
    machine::MeshAxis axis = mesh.mesh.axes[first];
    for (int other = first + 1; other < end; ++other)
      axis.size *= mesh.mesh.axes[other].size;
    result.mesh.axes.push_back(axis);
    result.axes.push_back(mesh.axes[first]);
  }
  result.roles.resize(result.axes.size());
  return result;
}

PlainSharding fused(const PlainSharding &sharding, const AxisRuns &runs) {
  PlainSharding result = sharding;
  auto fuse = [&](PlainSharding::Axes &axes) {
    PlainSharding::Axes own;
    for (int axis : axes)
      if (auto it = llvm::lower_bound(runs, axis); it != runs.end() && *it == axis)
        own.push_back(static_cast<int>(it - runs.begin()));
    axes = std::move(own);
  };
  llvm::for_each(result.dims, fuse);
  fuse(result.unreduced);
  return result;
}

std::vector<PlainSharding> levelShardings(RankedTensorType type, const PlanMesh &mesh) {
  PlainSharding nothing;
  nothing.dims.resize(type.getRank());
  nothing.blocks.assign(type.getRank(), 1);
  std::vector<PlainSharding> all{nothing};
  for (int begin = 0, end, count = static_cast<int>(mesh.size()); begin < count; begin = end) {
    PlainSharding::Axes axes;
    for (end = begin; end < count && mesh.mesh.axes[end].level == mesh.mesh.axes[begin].level; ++end)
      axes.push_back(end);
    for (size_t i = 0, before = all.size(); i < before; ++i) {
      PlainSharding partial = all[i];
      llvm::append_range(partial.unreduced, axes);
      all.push_back(std::move(partial));
      for (size_t dim = 0; dim < nothing.dims.size(); ++dim) {
        PlainSharding split = all[i];
        llvm::append_range(split.dims[dim], axes);
        int64_t parts = 1;
        for (int axis : split.dims[dim])
          parts *= mesh.mesh.axes[axis].size;
        if (type.getDimSize(dim) % parts == 0)
          all.push_back(std::move(split));
      }
    }
  }
  return all;
}

} // namespace mpopt::planning
