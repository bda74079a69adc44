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

/// How many devices a stage has.
static Result<int64_t> devicesPerStage(const PlanOptions &options) {
  if (!options.strategy)
    return options.devices;
  const Strategy &strategy = *options.strategy;
  if (strategy.hasRoles && strategy.devices() * strategy.stages != options.devices)
    return error("strategy '" + strategy.text() + "' is for " + std::to_string(strategy.devices() * strategy.stages) +
                 " devices, not for " + std::to_string(options.devices) + "; make the product of its numbers" +
                 (strategy.microbatches > 1 ? ", mb aside," : "") + " the number of devices");
  if (options.devices % strategy.stages != 0)
    return error("strategy '" + strategy.text() + "' gives its " + std::to_string(strategy.stages) +
                 " stages equally many devices, which " + std::to_string(options.devices) +
                 " devices do not allow; choose a divisor of the number of devices for pp");
  return options.devices / strategy.stages;
}

Result<PlanMesh> makePlanMesh(MLIRContext *context, const PlanOptions &options) {
  Result<int64_t> devices = devicesPerStage(options);
  if (!devices)
    return tl::make_unexpected(devices.error());
  bool exceeds = options.devices > options.machine->maxDevices();
  Result<machine::Mesh> mesh = machine::makeMesh(*options.machine, exceeds ? options.devices : *devices);
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
  if (!options.strategy || !options.strategy->hasRoles)
    return plan;
  plan.ways = *options.strategy;
  for (Role role : kRoles)
    dealAxes(plan, role, plan.ways[role]);
  return plan;
}

} // namespace mpopt::planning
