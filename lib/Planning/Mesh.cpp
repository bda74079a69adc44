#include "Mesh.h"
#include <numeric>

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
  int64_t sum = std::accumulate(strategy.stageDevices.begin(), strategy.stageDevices.end(), int64_t(0));
  if (!strategy.stageDevices.empty() && sum != options.devices)
    return error("strategy '" + strategy.text() + "' has stages of " + std::to_string(sum) +
                 " devices together, not of " + std::to_string(options.devices) +
                 "; make the sizes sum up to the number of devices");
  if (strategy.hasRoles && strategy.devices() * strategy.stages != options.devices)
    return error("strategy '" + strategy.text() + "' is for " + std::to_string(strategy.devices() * strategy.stages) +
                 " devices, not for " + std::to_string(options.devices) + "; make the product of its numbers" +
                 (strategy.microbatches > 1 ? ", mb aside," : "") + " the number of devices");
  if (strategy.isUneven(options.devices))
    return error("strategy '" + strategy.text() + "' has stages of different sizes on " +
                 std::to_string(options.devices) + " devices; cut the model into them before it is planned");
  return options.devices / strategy.stages;
}

PlanMesh planMeshOf(shd::MeshAttr attr) {
  PlanMesh plan;
  plan.attr = attr;
  plan.symbol = FlatSymbolRefAttr::get(attr.getContext(), kMeshName);
  for (shd::MeshAxisAttr axis : attr.getAxes()) {
    plan.mesh.axes.push_back({axis.getName().str(), axis.getSize(), static_cast<int>(axis.getLevel())});
    plan.axes.push_back(axis.getName());
  }
  plan.roles.resize(plan.axes.size());
  return plan;
}

static PlanMesh planMeshOf(MLIRContext *context, machine::Mesh mesh, StringRef name) {
  PlanMesh plan{std::move(mesh), {}, FlatSymbolRefAttr::get(context, name), {}, {}, {}};
  SmallVector<shd::MeshAxisAttr> axes;
  for (const machine::MeshAxis &axis : plan.mesh.axes) {
    plan.axes.push_back(StringAttr::get(context, axis.name));
    axes.push_back(shd::MeshAxisAttr::get(context, plan.axes.back(), axis.size, axis.level));
  }
  plan.attr = shd::MeshAttr::get(context, axes);
  plan.roles.resize(axes.size());
  return plan;
}

static void dealAxes(PlanMesh &mesh, const Strategy &ways) {
  mesh.ways = ways;
  for (Role role : kRoles)
    dealAxes(mesh, role, ways[role]);
}

Status checkRoles(int64_t stage, int64_t devices, const Strategy &ways) {
  if (!ways.hasRoles || ways.devices() == devices)
    return {};
  return error("pipeline stage " + std::to_string(stage) + " has " + std::to_string(devices) +
               " device(s), and its roles make " + std::to_string(ways.devices()) +
               "; make the product of a stage's roles its number of devices (a role may have a number per stage, as in "
               "pp=4+2,tp=4+2)");
}

Result<PlanMesh> makeStageMesh(MLIRContext *context, const machine::Machine &machine, int64_t stage, int64_t devices,
                               const Strategy &ways) {
  if (Status filled = checkRoles(stage, devices, ways); !filled)
    return tl::make_unexpected(filled.error());
  Result<machine::Mesh> mesh = machine::makeMesh(machine, devices);
  if (!mesh)
    return tl::make_unexpected(mesh.error());
  PlanMesh plan = planMeshOf(context, std::move(*mesh), (kMeshName + "_" + Twine(stage)).str());
  if (ways.hasRoles)
    dealAxes(plan, ways);
  return plan;
}

Strategy rolesOfStage(const std::optional<Strategy> &strategy, size_t stage) {
  if (strategy && strategy->hasRoles)
    return strategy->ofStage(stage);
  Strategy none;
  none.hasRoles = false;
  return none;
}

Result<PlanMesh> makePlanMesh(MLIRContext *context, const PlanOptions &options) {
  Result<int64_t> devices = devicesPerStage(options);
  if (!devices)
    return tl::make_unexpected(devices.error());
  bool exceeds = options.devices > options.machine->maxDevices();
  Result<machine::Mesh> mesh = machine::makeMesh(*options.machine, exceeds ? options.devices : *devices);
  if (!mesh)
    return tl::make_unexpected(mesh.error());
  PlanMesh plan = planMeshOf(context, std::move(*mesh), kMeshName);
  if (!options.strategy || !options.strategy->hasRoles)
    return plan;
  dealAxes(plan, *options.strategy);
  return plan;
}

} // namespace mpopt::planning
