#include "Mesh.h"

using namespace mlir;

namespace mpopt::planning {

static constexpr StringLiteral kMeshName = "mesh";

/// The outermost free axis of each prime that the role needs. There always is one: the sizes are the prime factors of the
/// number of devices, which is the product of the roles' ways.
static void dealAxes(PlanMesh &mesh, Role role, int64_t ways) {
  for (size_t axis = 0; axis < mesh.size() && ways > 1; ++axis) {
    int64_t size = mesh.mesh.axes[axis].size;
    if (mesh.roles[axis] || ways % size != 0)
      continue;
    mesh.roles[axis] = role;
    ways /= size;
  }
}

Result<PlanMesh> makePlanMesh(MLIRContext *context, const PlanOptions &options) {
  Result<machine::Mesh> mesh = machine::makeMesh(*options.machine, options.devices);
  if (!mesh)
    return tl::make_unexpected(mesh.error());
  PlanMesh plan{*mesh, {}, FlatSymbolRefAttr::get(context, kMeshName), {}, {}, {}};
  SmallVector<shd::MeshAxisAttr> axes;
  for (const machine::MeshAxis &axis : mesh->axes) {
    plan.axes.push_back(StringAttr::get(context, axis.name));
    axes.push_back(shd::MeshAxisAttr::get(context, plan.axes.back(), axis.size, axis.level));
  }
  plan.attr = shd::MeshAttr::get(context, axes);
  plan.roles.resize(axes.size());
  if (!options.strategy)
    return plan;
  plan.ways = *options.strategy;
  if (plan.ways.devices() != options.devices)
    return error("strategy '" + plan.ways.text() + "' is for " + std::to_string(plan.ways.devices()) +
                 " devices, not for " + std::to_string(options.devices) +
                 "; make the product of its numbers the number of devices");
  for (Role role : kRoles)
    dealAxes(plan, role, plan.ways[role]);
  return plan;
}

} // namespace mpopt::planning
