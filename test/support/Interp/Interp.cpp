#include "Interp.h"
#include "Collectives.h"
#include "Devices.h"
#include "Evaluators.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

namespace {

const Evaluators &evaluators() {
  static const Evaluators all = [] {
    Evaluators made;
    addElementwise(made);
    addMoves(made);
    addReductions(made);
    addProducts(made);
    addNorms(made);
    addWindows(made);
    return made;
  }();
  return all;
}

FailureOr<func::FuncOp> findMain(ModuleOp module, ArrayRef<Tensor> inputs) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main || !main.getBody().hasOneBlock())
    return module.emitError("no function @main of one block");
  if (main.getNumArguments() != inputs.size())
    return main.emitError() << "takes " << main.getNumArguments() << " inputs, got " << inputs.size();
  return main;
}

/// Runs one program on `devices` devices in lock step; one device and no mesh for what is not partitioned.
class Machine {
public:
  Machine(int64_t devices, shd::MeshAttr mesh, Options options) : devices(devices), mesh(mesh), options(options) {}

  void set(Value value, std::vector<Tensor> parts) { values[value] = std::move(parts); }
  const std::vector<Tensor> &get(Value value) { return values[value]; }

  LogicalResult run(Block &block) {
    for (Operation &op : block.without_terminator())
      if (failed(run(&op)))
        return failure();
    return success();
  }

private:
  LogicalResult run(Operation *op) {
    if (op->getName().getDialectNamespace() == "coll")
      return runCollective(op);
    std::vector<std::vector<Tensor>> results(op->getNumResults());
    for (int64_t device = 0; device < devices; ++device) {
      SmallVector<const Tensor *> operands;
      for (Value operand : op->getOperands())
        operands.push_back(&values[operand][device]);
      FailureOr<Tensors> out = evaluate(op, operands, options);
      if (failed(out))
        return failure();
      for (auto [all, one] : llvm::zip(results, *out))
        all.push_back(std::move(one));
    }
    for (auto [value, parts] : llvm::zip(op->getResults(), results))
      set(value, std::move(parts));
    return success();
  }

  LogicalResult runCollective(Operation *op) {
    if (!mesh)
      return op->emitError("a collective outside of a mesh");
    SmallVector<const std::vector<Tensor> *> operands;
    for (Value operand : op->getOperands())
      operands.push_back(&values.find(operand)->second);
    auto out = evaluateCollective(op, operands, mesh);
    if (failed(out))
      return failure();
    for (Tensor &part : *out)
      part.round(options.keepDoubles);
    set(op->getResult(0), std::move(*out));
    return success();
  }

  int64_t devices;
  shd::MeshAttr mesh;
  Options options;
  DenseMap<Value, std::vector<Tensor>> values;
};

LogicalResult checkInput(func::FuncOp main, unsigned i, const Tensor &input, Type wanted) {
  if (input.type() == wanted)
    return success();
  return main.emitError() << "input " << i << " must be " << wanted << ", got " << input.type();
}

/// The sharding and the global type of an argument or result of a partitioned @main.
struct Boundary {
  shd::ShardingAttr sharding;
  RankedTensorType global;
};

FailureOr<Boundary> readBoundary(func::FuncOp main, DictionaryAttr attributes) {
  Boundary boundary;
  if (attributes) {
    boundary.sharding = attributes.getAs<shd::ShardingAttr>(shd::kShardingAttr);
    if (auto global = attributes.getAs<TypeAttr>("nn.global"))
      boundary.global = dyn_cast<RankedTensorType>(global.getValue());
  }
  if (!boundary.sharding || !boundary.global)
    return main.emitError("arguments and results need shd.sharding and nn.global");
  if (boundary.sharding.getDims().size() != static_cast<size_t>(boundary.global.getRank()))
    return main.emitError("a sharding's rank is not its value's");
  return boundary;
}

} // namespace

FailureOr<Tensors> mpopt::interp::evaluate(Operation *op, ArrayRef<const Tensor *> operands, Options options) {
  const Evaluators::Function *function = evaluators().find(op->getName().getStringRef());
  if (!function)
    return op->emitError("the interpreter does not know this operation");
  Tensors results;
  for (Type type : op->getResultTypes())
    results.push_back(Tensor::zeros(type));
  (*function)(op, operands, results);
  for (Tensor &result : results)
    result.round(options.keepDoubles);
  return results;
}

FailureOr<Tensors> mpopt::interp::interpret(ModuleOp module, ArrayRef<Tensor> inputs, Options options) {
  FailureOr<func::FuncOp> main = findMain(module, inputs);
  if (failed(main))
    return failure();
  Machine machine(1, nullptr, options);
  for (auto [i, input] : llvm::enumerate(inputs)) {
    if (failed(checkInput(*main, i, input, main->getArgument(i).getType())))
      return failure();
    machine.set(main->getArgument(i), {input});
  }
  Block &body = main->getBody().front();
  if (failed(machine.run(body)))
    return failure();
  Tensors outputs;
  for (Value value : body.getTerminator()->getOperands())
    outputs.push_back(machine.get(value)[0]);
  return outputs;
}

FailureOr<Tensors> mpopt::interp::interpretPartitioned(ModuleOp module, ArrayRef<Tensor> inputs, Options options) {
  FailureOr<func::FuncOp> main = findMain(module, inputs);
  shd::MeshOp meshOp = shd::getMesh(module);
  if (failed(main) || failed(verify(module)))
    return failure();
  if (!meshOp)
    return module.emitError("has no mesh");
  shd::MeshAttr mesh = meshOp.getMesh();
  Machine machine(mesh.getNumDevices(), mesh, options);
  for (auto [i, input] : llvm::enumerate(inputs)) {
    Value argument = main->getArgument(i);
    FailureOr<Boundary> boundary = readBoundary(*main, main->getArgAttrDict(i));
    if (failed(boundary) || failed(checkInput(*main, i, input, boundary->global)))
      return failure();
    std::vector<Tensor> parts = cutValue(input, boundary->sharding, mesh);
    if (failed(checkInput(*main, i, parts[0], argument.getType())))
      return failure();
    machine.set(argument, std::move(parts));
  }
  Block &body = main->getBody().front();
  if (failed(machine.run(body)))
    return failure();
  Tensors outputs;
  for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
    FailureOr<Boundary> boundary = readBoundary(*main, main->getResultAttrDict(i));
    if (failed(boundary))
      return failure();
    std::string problem;
    outputs.push_back(joinValue(machine.get(value), boundary->global, boundary->sharding, mesh, problem));
    if (!problem.empty())
      return main->emitError() << "output " << i << ": " << problem;
  }
  return outputs;
}
