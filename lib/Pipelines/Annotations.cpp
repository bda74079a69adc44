//===- Annotations.cpp - Between plans and ONNX's multi-device annotations ===//
//
// ONNX lists, per shard of a tensor, the devices that hold it. A mesh says the same by axes: device numbers are positions in row-major order, so a
// shard's number along a dimension is a sum of coordinates times strides. The stages of a pipeline are runs of devices, each of which is such a mesh;
// the devices of an operator that every stage computes are those of all stages where these are equal.
//
//===----------------------------------------------------------------------===//

#include "Annotations.h"
#include "Timeline.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include <map>

using namespace mlir;

namespace mpopt {
namespace {

/// The coordinates of a device, an entry per axis.
SmallVector<int64_t> coordinatesOf(int64_t device, ArrayRef<int64_t> sizes) {
  SmallVector<int64_t> result(sizes.size());
  for (size_t axis = sizes.size(); axis-- > 0; device /= sizes[axis])
    result[axis] = device % sizes[axis];
  return result;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

class AxisFinder {
public:
  explicit AxisFinder(const machine::Mesh &mesh) : mesh(mesh) {
    for (const machine::MeshAxis &axis : mesh.axes)
      sizes.push_back(axis.size);
  }

  /// The axes of each dimension of an annotation; where the devices stand in no order that a mesh has, only numbers of devices.
  std::vector<planning::NodePin::Dim> dimsOf(const TensorAnnotation &tensor) const {
    std::vector<planning::NodePin::Dim> dims;
    for (const DimAnnotation &dim : tensor.dims)
      dims.push_back({dim.axis, {{}, dim.shards}, dim.blocks});
    if (auto axes = axesOf(tensor))
      for (auto [dim, names] : llvm::zip_equal(dims, *axes))
        dim.split = {names, std::nullopt};
    return dims;
  }

private:
  std::optional<std::vector<std::vector<std::string>>> axesOf(const TensorAnnotation &tensor) const {
    auto numbers = shardNumbers(tensor);
    if (numbers.empty())
      return std::nullopt;
    std::vector<std::vector<std::string>> result;
    for (size_t dim = 0; dim < tensor.dims.size(); ++dim) {
      auto axes = axesOf(dim, tensor.dims[dim].shards, numbers);
      if (!axes)
        return std::nullopt;
      result.push_back(*axes);
    }
    return result;
  }

  /// Per device, its shard's number along each dimension; empty where not every device has exactly one shard.
  std::vector<SmallVector<int64_t>> shardNumbers(const TensorAnnotation &tensor) const {
    SmallVector<int64_t> shards;
    for (const DimAnnotation &dim : tensor.dims)
      shards.push_back(dim.shards);
    std::vector<SmallVector<int64_t>> numbers(mesh.devices());
    int64_t found = 0;
    for (auto [shard, devices] : llvm::enumerate(tensor.devices))
      for (int64_t device : devices) {
        if (device < 0 || device >= mesh.devices() || !numbers[device].empty())
          return {};
        numbers[device] = coordinatesOf(static_cast<int64_t>(shard), shards);
        ++found;
      }
    return !tensor.dims.empty() && found == mesh.devices() ? numbers : std::vector<SmallVector<int64_t>>();
  }

  /// The axes, major to minor, by which the shard's number along a dimension goes.
  std::optional<std::vector<std::string>> axesOf(size_t dim, int64_t shards,
                                                 ArrayRef<SmallVector<int64_t>> numbers) const {
    std::map<int64_t, size_t, std::greater<>> byStride;
    int64_t step = mesh.devices();
    for (size_t axis = 0; axis < sizes.size(); ++axis) {
      step /= sizes[axis]; // the number of the device that is one further along this axis
      if (int64_t stride = numbers[step][dim] - numbers[0][dim])
        if (!byStride.try_emplace(stride, axis).second)
          return std::nullopt;
    }
    std::vector<std::string> names;
    int64_t left = shards;
    for (auto [stride, axis] : byStride) {
      if (left % sizes[axis] || stride != left / sizes[axis])
        return std::nullopt;
      left = stride;
      names.push_back(mesh.axes[axis].name);
    }
    if (left != 1)
      return std::nullopt;
    for (auto [device, number] : llvm::enumerate(numbers)) {
      SmallVector<int64_t> at = coordinatesOf(static_cast<int64_t>(device), sizes);
      int64_t sum = 0;
      for (auto [stride, axis] : byStride)
        sum += stride * at[axis];
      if (sum != number[dim])
        return std::nullopt;
    }
    return names;
  }

  const machine::Mesh &mesh;
  SmallVector<int64_t> sizes;
};

class PinMaker {
public:
  PinMaker(const machine::Mesh &mesh, ArrayRef<NodeTensors> nodes) : finder(mesh) {
    for (const NodeTensors &node : nodes) {
      byName.try_emplace(node.node, &node);
      for (const std::string &output : node.outputs)
        producers.try_emplace(output, node.node);
    }
  }

  /// `ownStage`: where stages have meshes of their own, that whose mesh this is.
  void add(const NodeAnnotation &node, std::optional<int64_t> ownStage, std::vector<planning::NodePin> &pins) const {
    for (const TensorAnnotation &tensor : node.tensors) {
      planning::NodePin pin{node.node, tensor.tensor, {}, {}, finder.dimsOf(tensor), ownStage};
      const std::vector<std::string> &outputs = byName.lookup(node.node)->outputs;
      if (auto it = llvm::find(outputs, tensor.tensor); it != outputs.end())
        pin.result = static_cast<unsigned>(it - outputs.begin());
      else if (auto producer = producers.find(tensor.tensor); producer != producers.end())
        pin.source = producer->second;
      else
        pin.source = tensor.tensor; // a weight or an input
      pins.push_back(std::move(pin));
    }
  }

private:
  AxisFinder finder;
  llvm::StringMap<const NodeTensors *> byName;
  llvm::StringMap<std::string> producers;
};

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

class AnnotationMaker {
public:
  AnnotationMaker(ModuleOp planned, ArrayRef<NodeTensors> nodes)
      : functions(planning::getPlannedFunctions(planned)), stages(shd::getStages(planned)) {
    for (const NodeTensors &node : nodes)
      byName.try_emplace(node.node, &node);
    for (func::FuncOp function : functions)
      for (Operation &op : function.getBody().front().without_terminator())
        if (isAnnotated(&op))
          lastOfNode[nodeNameOf(op.getLoc())] = &op;
  }

  Annotations run() {
    result.configuration = "mpopt";
    for (func::FuncOp function : functions)
      addFunction(function);
    return std::move(result);
  }

private:
  static bool isAnnotated(Operation *op) { return !isa<coll::CollDialect>(op->getDialect()); }

  /// Stages that are functions have devices of their own, one stage's after the other's; else all stages are in one function.
  void addFunction(func::FuncOp function) {
    mesh = shd::getMesh(function).getMesh();
    sizes.clear();
    for (shd::MeshAxisAttr axis : mesh.getAxes())
      sizes.push_back(axis.getSize());
    auto marked = function->getAttrOfType<IntegerAttr>(shd::kStageAttr);
    ownStage = marked ? std::optional(marked.getInt()) : std::nullopt;
    firstDevice = result.devices;
    result.devices += mesh.getNumDevices() * (ownStage ? 1 : stages);
    for (Operation &op : function.getBody().front().without_terminator())
      if (isAnnotated(&op) && !llvm::all_of(op.getResults(), [](Value value) { return nn::isInitTime(value); }))
        add(&op);
  }

  void add(Operation *op) {
    std::string name = nodeNameOf(op->getLoc());
    const NodeTensors *node = byName.lookup(name);
    if (!node)
      return;
    auto marked = op->getAttrOfType<IntegerAttr>(shd::kStageAttr);
    stage = marked ? std::optional(marked.getInt()) : ownStage;
    auto shardings = [&](StringRef attr) {
      return llvm::to_vector(op->getAttrOfType<ArrayAttr>(attr).getAsRange<shd::ShardingAttr>());
    };
    for (auto [operand, sharding] : llvm::zip_equal(op->getOperands(), shardings(shd::kInAttr)))
      if (std::string tensor = tensorOf(operand); llvm::is_contained(node->inputs, tensor))
        note(*node, tensor, sharding, operand.getType());
    if (lastOfNode.lookup(name) != op)
      return;
    for (auto [number, sharding] : llvm::enumerate(shardings(shd::kOutAttr)))
      if (number < node->outputs.size())
        note(*node, node->outputs[number], sharding, op->getResult(number).getType());
  }

  /// The ONNX name of an operand: a weight's, an input's, or that of the node's output which it is.
  std::string tensorOf(Value value) const {
    if (auto weight = value.getDefiningOp<nn::WeightOp>())
      return weight.getName().str();
    std::string name = nodeNameOf(value.getLoc());
    if (isa<BlockArgument>(value))
      return name;
    const NodeTensors *producer = byName.lookup(name);
    auto number = cast<OpResult>(value).getResultNumber();
    bool isOutput = producer && lastOfNode.lookup(name) == value.getDefiningOp() && number < producer->outputs.size();
    return isOutput ? producer->outputs[number] : "";
  }

  void note(const NodeTensors &node, const std::string &tensor, shd::ShardingAttr sharding, Type type) {
    if (!sharding.getUnreduced().empty() || !noted.insert(node.node + '\0' + tensor).second)
      return;
    auto [at, isNew] = numbers.try_emplace(node.node, result.nodes.size());
    if (isNew)
      result.nodes.push_back({node.node, {}, {}});
    result.nodes[at->second].stage = stage;
    result.nodes[at->second].tensors.push_back(annotationOf(tensor, sharding, cast<RankedTensorType>(type)));
  }

  TensorAnnotation annotationOf(const std::string &tensor, shd::ShardingAttr sharding, RankedTensorType type) const {
    TensorAnnotation annotation{tensor, {}, {}};
    SmallVector<SmallVector<unsigned>> axesOfDims;
    int64_t shards = 1;
    for (auto [index, dim] : llvm::enumerate(sharding.getDims())) {
      if (dim.getAxes().empty())
        continue;
      int64_t ways = mesh.sizeOf(dim.getAxes());
      std::optional<int64_t> blocks;
      if (dim.getBlock() != 1)
        blocks = type.getDimSize(index) / dim.getBlock();
      annotation.dims.push_back({static_cast<int64_t>(index), ways, blocks});
      SmallVector<unsigned> &axes = axesOfDims.emplace_back();
      for (StringAttr name : dim.getAxes())
        axes.push_back(llvm::find_if(mesh.getAxes(), [&](auto axis) { return axis.getName() == name; }) -
                       mesh.getAxes().begin());
      shards *= ways;
    }
    annotation.devices.resize(shards);
    for (int64_t device = 0; device < mesh.getNumDevices(); ++device) {
      SmallVector<int64_t> at = coordinatesOf(device, sizes);
      int64_t shard = 0;
      for (ArrayRef<unsigned> axes : axesOfDims)
        for (unsigned axis : axes)
          shard = shard * sizes[axis] + at[axis];
      if (ownStage)
        annotation.devices[shard].push_back(firstDevice + device);
      for (int64_t number = stage.value_or(0); !ownStage && number <= stage.value_or(stages - 1); ++number)
        annotation.devices[shard].push_back(number * mesh.getNumDevices() + device);
    }
    return annotation;
  }

  SmallVector<func::FuncOp> functions;
  shd::MeshAttr mesh; // of each stage in the function at hand
  int64_t stages, firstDevice = 0;
  std::optional<int64_t> ownStage; // of the function at hand, where stages are functions
  std::optional<int64_t> stage;    // of the operator at hand; none where each stage has it that uses it
  SmallVector<int64_t> sizes;
  llvm::StringMap<const NodeTensors *> byName;
  llvm::StringMap<Operation *> lastOfNode;
  llvm::StringSet<> noted;
  llvm::StringMap<size_t> numbers; // by node: its place in the result
  Annotations result;
};

/// How many stages a configuration has; 1 where it says nothing of stages.
int64_t stagesOf(const Annotations &annotations) {
  int64_t last = 0;
  for (const NodeAnnotation &node : annotations.nodes)
    last = std::max(last, node.stage.value_or(0));
  return last + 1;
}

/// The devices of each stage; nothing where they are no runs of devices, one after the other.
std::optional<std::vector<int64_t>> sizesOfStages(const Annotations &annotations, int64_t stages) {
  constexpr int64_t kNone = -1;
  bool valid = llvm::all_of(annotations.nodes, [](const NodeAnnotation &node) { return node.stage.value_or(0) >= 0; });
  if (!valid || stages > annotations.devices)
    return std::nullopt;
  if (stages == 1)
    return std::vector{annotations.devices};
  std::vector<int64_t> last(stages, kNone), first(stages, annotations.devices);
  for (const NodeAnnotation &node : annotations.nodes)
    for (const TensorAnnotation &tensor : node.tensors)
      for (const std::vector<int64_t> &shard : tensor.devices)
        for (int64_t device : shard)
          if (node.stage) {
            first[*node.stage] = std::min(first[*node.stage], device);
            last[*node.stage] = std::max(last[*node.stage], device);
          }
  std::vector<int64_t> sizes;
  for (int64_t stage = 0, next = 0; stage < stages; next = last[stage++] + 1) {
    if (first[stage] != next || last[stage] < first[stage])
      return std::nullopt;
    sizes.push_back(last[stage] - first[stage] + 1);
  }
  return last.back() + 1 == annotations.devices ? std::optional(sizes) : std::nullopt;
}

/// Numbers the devices of each stage from 0 on; those of what belongs to no stage are left as the first stage has them.
void toOneStage(Annotations &annotations, ArrayRef<int64_t> sizes) {
  for (NodeAnnotation &node : annotations.nodes) {
    int64_t begin = 0;
    for (int64_t size : sizes.take_front(node.stage.value_or(0)))
      begin += size;
    for (TensorAnnotation &tensor : node.tensors)
      for (std::vector<int64_t> &shard : tensor.devices) {
        if (!node.stage)
          std::erase_if(shard, [&](int64_t device) { return device >= sizes.front(); });
        for (int64_t &device : shard)
          device -= begin;
      }
  }
}

/// The strategy of a plan whose stages have the devices that annotations name; nothing where the one that is asked for has others.
std::optional<planning::Strategy> withSizes(const std::optional<planning::Strategy> &asked, ArrayRef<int64_t> sizes) {
  auto stages = static_cast<int64_t>(sizes.size());
  planning::Strategy strategy = asked.value_or(planning::Strategy());
  if (!asked) {
    strategy.stages = stages;
    strategy.hasRoles = false;
  }
  if (strategy.stages != stages)
    return std::nullopt;
  std::vector<int64_t> given = strategy.sizes();
  if (!given.empty() && ArrayRef(given) != sizes)
    return std::nullopt;
  if (!llvm::all_equal(sizes))
    strategy.stageDevices = sizes;
  return strategy;
}

/// The mesh of each stage, or, where these are alike, that of all.
std::optional<std::vector<machine::Mesh>> meshesOf(const planning::PlanOptions &plan, ArrayRef<int64_t> sizes,
                                                   bool own) {
  std::vector<machine::Machine> machines = {*plan.machine};
  if (own) {
    auto found = planning::machinesOfStages(*plan.machine, plan.devices, sizes);
    if (!found)
      return std::nullopt;
    machines = std::move(*found);
  }
  std::vector<machine::Mesh> meshes;
  for (auto [machine, size] : llvm::zip_first(machines, sizes)) {
    Result<machine::Mesh> mesh = machine::makeMesh(machine, size);
    if (!mesh)
      return std::nullopt;
    meshes.push_back(std::move(*mesh));
  }
  return meshes;
}

} // namespace

Result<AnnotationPins> annotationPins(const std::string &model, const planning::PlanOptions &plan) {
  auto configurations = readAnnotations(model);
  if (!configurations)
    return tl::unexpected(configurations.error());
  AnnotationPins result;
  if (configurations->empty())
    return result;
  auto chosen = llvm::find_if(*configurations, [&](const Annotations &a) { return a.devices == plan.devices; });
  if (chosen == configurations->end()) {
    result.warning = "the model is annotated for " + std::to_string(configurations->front().devices) +
                     " devices (configuration '" + configurations->front().configuration + "'), not for " +
                     std::to_string(plan.devices) + "; its annotations are ignored";
    return result;
  }
  int64_t stages = stagesOf(*chosen);
  if (plan.strategy && plan.strategy->stages != stages) {
    result.warning = "the model's annotations are for " + std::to_string(stages) + " pipeline stages, not for " +
                     std::to_string(plan.strategy->stages) + "; they are ignored";
    return result;
  }
  auto sizes = sizesOfStages(*chosen, stages);
  if (!sizes) {
    result.warning =
        "the annotations' pipeline stages are no runs of devices, one after the other; the annotations are ignored";
    return result;
  }
  planning::PlanOptions own = plan;
  own.strategy = withSizes(plan.strategy, *sizes);
  if (!own.strategy) {
    result.warning = "the pipeline stages of the model's annotations have other numbers of devices than strategy '" +
                     plan.strategy->text() + "' asks for; the annotations are ignored";
    return result;
  }
  bool ownMeshes = planning::haveOwnMeshes(own);
  if (ownMeshes)
    own.strategy->stageDevices = *sizes;
  auto meshes = meshesOf(plan, *sizes, ownMeshes);
  auto nodes = readNodes(model);
  if (!meshes || !nodes)
    return result; // planning and importing say why
  toOneStage(*chosen, *sizes);
  std::vector<PinMaker> makers;
  for (const machine::Mesh &mesh : *meshes)
    makers.emplace_back(mesh, *nodes);
  for (const NodeAnnotation &node : chosen->nodes) {
    if (!ownMeshes)
      makers.front().add(node, std::nullopt, result.pins);
    else if (node.stage)
      makers[*node.stage].add(node, node.stage, result.pins);
    if (stages > 1 && node.stage)
      result.stages.push_back({node.node, *node.stage});
  }
  if (stages > 1)
    result.strategy = own.strategy;
  return result;
}

Result<Annotations> makeAnnotations(ModuleOp planned, const std::string &model) {
  auto nodes = readNodes(model);
  if (!nodes)
    return tl::unexpected(nodes.error());
  return AnnotationMaker(planned, *nodes).run();
}

} // namespace mpopt
