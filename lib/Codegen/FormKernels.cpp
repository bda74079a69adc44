#include "KernelGroups.h"
#include "LayOutImages.h"
#include "PackWeights.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassRegistry.h"
#include "mpopt/Dialect/RT/Programs.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

namespace {

/// Moves the groups of programs out into functions, which all programs share.
class Outliner {
public:
  explicit Outliner(ModuleOp module) : builder(module.getContext()) {}

  void run(func::FuncOp program, ArrayRef<KernelGroup> groups) {
    main = program;
    kernelOps.clear();
    Operation *terminator = main.getBody().front().getTerminator();
    SmallVector<Operation *> replaced;
    for (const KernelGroup &group : groups)
      if (!group.stays)
        kernelOps.insert(group.ops.begin(), group.ops.end());
    for (const KernelGroup &group : groups) {
      if (group.stays) {
        group.ops.front()->moveBefore(terminator);
        continue;
      }
      replaced.append(group.ops.begin(), group.ops.end());
      outline(group, terminator);
    }
    for (Operation *op : llvm::reverse(replaced))
      op->erase();
  }

private:
  void outline(const KernelGroup &group, Operation *before);
  func::FuncOp build(const KernelGroup &group, ArrayRef<Value> inputs, ArrayRef<Value> outputs);
  func::FuncOp shared(func::FuncOp function);

  func::FuncOp main;
  OpBuilder builder;
  std::map<std::string, func::FuncOp> known; // by text
  DenseSet<Operation *> kernelOps;
};

} // namespace

func::FuncOp Outliner::build(const KernelGroup &group, ArrayRef<Value> inputs, ArrayRef<Value> outputs) {
  auto types = [](ArrayRef<Value> values) {
    return llvm::to_vector(llvm::map_range(values, [](Value v) { return v.getType(); }));
  };
  Operation *leading = group.anchor ? group.anchor : group.ops.back();
  builder.setInsertionPoint(main);
  auto function = func::FuncOp::create(builder, leading->getLoc(), "kernel",
                                       builder.getFunctionType(types(inputs), types(outputs)));
  function.setPrivate();
  function->setAttr("rt.kernel", builder.getUnitAttr());
  Block *body = function.addEntryBlock();
  builder.setInsertionPointToStart(body);
  IRMapping mapping;
  for (auto [input, argument] : llvm::zip_equal(inputs, body->getArguments()))
    mapping.map(input, argument);
  for (Operation *op : group.ops) {
    for (Value operand : op->getOperands())
      if (!mapping.contains(operand))
        builder.clone(*operand.getDefiningOp(), mapping);
    Operation *copy = builder.clone(*op, mapping);
    // What planning noted on it describes @main.
    for (NamedAttribute attr : llvm::to_vector(copy->getDiscardableAttrs()))
      copy->removeDiscardableAttr(attr.getName());
  }
  SmallVector<Value> results;
  for (Value output : outputs)
    results.push_back(mapping.lookup(output));
  func::ReturnOp::create(builder, function.getLoc(), results);
  return function;
}

/// An earlier function that is equal to this one but for its name, or this one under the next name.
func::FuncOp Outliner::shared(func::FuncOp function) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  function.print(stream, OpPrintingFlags().useLocalScope());
  auto [entry, isNew] = known.try_emplace(text, function);
  if (!isNew) {
    function.erase();
    return entry->second;
  }
  function.setName(("kernel_" + Twine(known.size() - 1)).str());
  return function;
}

void Outliner::outline(const KernelGroup &group, Operation *before) {
  llvm::SetVector<Operation *> members(group.ops.begin(), group.ops.end());
  llvm::SetVector<Value> inputs;
  SmallVector<Value> outputs;
  // Kernels have their own copies of repeated operators, so only other users count for these.
  auto isOutside = [&](OpOperand &use) {
    bool copied = isRematerialized(use) && kernelOps.contains(use.getOwner());
    return !members.contains(use.getOwner()) && !copied;
  };
  for (Operation *op : group.ops) {
    for (OpOperand &operand : op->getOpOperands()) {
      Operation *def = operand.get().getDefiningOp();
      if (!def || (!members.contains(def) && !isRematerialized(operand)))
        inputs.insert(operand.get());
    }
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUses(), isOutside))
        outputs.push_back(result);
  }
  if (outputs.empty())
    return;
  func::FuncOp callee = shared(build(group, inputs.getArrayRef(), outputs));
  builder.setInsertionPoint(before);
  Operation *leading = group.anchor ? group.anchor : group.ops.back();
  SmallVector<Location> locs = {leading->getLoc()}; // the leading one first: it names the kernel in messages and traces
  for (Operation *op : group.ops)
    locs.push_back(op->getLoc());
  auto call = func::CallOp::create(builder, FusedLoc::get(builder.getContext(), locs), callee, inputs.getArrayRef());
  for (auto [output, result] : llvm::zip_equal(outputs, call.getResults()))
    output.replaceUsesWithIf(result, isOutside);
}

namespace {

struct FormKernelsPass : PassWrapper<FormKernelsPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FormKernelsPass)

  FormKernelsPass() : cpuTarget(CpuTarget::native()) {}
  explicit FormKernelsPass(CpuTarget target) : cpuTarget(std::move(target)) { cpu = cpuTarget.cpu; }
  FormKernelsPass(const FormKernelsPass &other) : PassWrapper(other), cpuTarget(other.cpuTarget) {}

  StringRef getArgument() const override { return "mpopt-form-kernels"; }
  StringRef getDescription() const override { return "Groups nn operators of @main, or of each stage, into kernels"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<nn::NNDialect, func::FuncDialect>();
  }

  void runOnOperation() override {
    SmallVector<func::FuncOp> programs = rt::getProgramFunctions(getOperation());
    if (programs.empty() ||
        !llvm::all_of(programs, [](func::FuncOp program) { return llvm::hasSingleElement(program.getBody()); })) {
      getOperation().emitError("needs a function @main of one block");
      return signalPassFailure();
    }
    if (!cpu.empty())
      cpuTarget.cpu = cpu;
    Outliner outliner(getOperation());
    for (func::FuncOp program : programs) {
      layOutImages(program, cpuTarget);
      packWeights(program, cpuTarget);
      removeDead(program.getBody().front());
      outliner.run(program, formGroups(program.getBody().front(), cpuTarget));
      removeDead(program.getBody().front());
    }
  }

  static void removeDead(Block &block) {
    SmallVector<Operation *> ops;
    for (Operation &op : block.without_terminator())
      ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops))
      if (isOpTriviallyDead(op))
        op->erase();
  }

  CpuTarget cpuTarget;
  Option<std::string> cpu{*this, "cpu", llvm::cl::desc("x86-64-v3 or x86-64-v4; this machine's by default")};
};

} // namespace

std::unique_ptr<Pass> mpopt::codegen::createFormKernelsPass(CpuTarget target) {
  return std::make_unique<FormKernelsPass>(std::move(target));
}

void mpopt::codegen::registerCodegenPasses() { PassRegistration<FormKernelsPass>(); }
