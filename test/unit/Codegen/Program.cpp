#include "Program.h"
#include "Interp/Interp.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::test;

namespace {

using Bytes = std::shared_ptr<std::vector<char>>;

Bytes bytesOf(RankedTensorType type, const interp::Tensor &values) {
  Tensor tensor{std::vector<int64_t>(type.getShape()), {}};
  for (int64_t i = 0; i < values.size(); ++i)
    tensor.data.push_back(values.number(i));
  return std::make_shared<std::vector<char>>(encode(tensor, type.getElementType()));
}

/// Runs a formed @main: reshapes are other names of the same bytes, all but constants is a call.
class Runner {
public:
  Runner(ModuleOp module, const Library &library) : main(module.lookupSymbol<func::FuncOp>("main")), library(library) {}

  std::vector<Bytes> run(ArrayRef<Bytes> inputs) {
    for (auto [argument, bytes] : llvm::zip_equal(main.getArguments(), inputs))
      memory[argument] = bytes;
    for (Operation &op : main.getBody().front().without_terminator())
      step(&op);
    std::vector<Bytes> results;
    for (Value value : main.getBody().front().getTerminator()->getOperands())
      results.push_back(memory[value]);
    return results;
  }

private:
  void step(Operation *op) {
    if (isa<nn::ReshapeOp>(op)) {
      memory[op->getResult(0)] = memory[op->getOperand(0)];
      return;
    }
    if (auto constant = dyn_cast<nn::ConstantOp>(op)) {
      auto value = dyn_cast<DenseElementsAttr>(constant.getValue());
      ASSERT_TRUE(value && !value.getElementType().isInteger(1));
      ArrayRef<char> raw = value.getRawData();
      auto bytes = std::make_shared<std::vector<char>>();
      for (int64_t i = 0; i < (value.isSplat() ? value.getNumElements() : 1); ++i)
        bytes->insert(bytes->end(), raw.begin(), raw.end());
      memory[op->getResult(0)] = bytes;
      return;
    }
    auto call = dyn_cast<func::CallOp>(op);
    ASSERT_TRUE(call) << "neither a call, a constant nor a reshape: " << op->getName().getStringRef().str();
    std::vector<void *> pointers;
    for (Value operand : call.getOperands())
      pointers.push_back(memory[operand]->data());
    for (Value result : call.getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      int64_t width = (type.getElementTypeBitWidth() + 7) / 8;
      memory[result] = std::make_shared<std::vector<char>>(type.getNumElements() * width, char(0x5a));
      pointers.push_back(memory[result]->data());
    }
    auto *kernel = reinterpret_cast<void (*)(void *const *)>(library.symbol(call.getCallee().str()));
    ASSERT_TRUE(kernel);
    kernel(pointers.data());
  }

  func::FuncOp main;
  const Library &library;
  DenseMap<Value, Bytes> memory;
};

} // namespace

static std::string checkFor(const codegen::CpuTarget &target, const std::string &text, double tolerance) {
  OwningOpRef<ModuleOp> module = parse(text);
  EXPECT_TRUE(module) << text;
  if (!module)
    return "";
  auto main = module->lookupSymbol<func::FuncOp>("main");
  FunctionType signature = main.getFunctionType();
  std::vector<interp::Tensor> inputs;
  std::vector<Bytes> memory;
  for (auto [i, type] : llvm::enumerate(signature.getInputs())) {
    inputs.push_back(interp::randomTensor(cast<RankedTensorType>(type), i));
    memory.push_back(bytesOf(cast<RankedTensorType>(type), inputs.back()));
  }
  FailureOr<interp::Tensors> expected = interp::interpret(*module, inputs, {.keepDoubles = true});
  PassManager manager(&context());
  manager.addPass(codegen::createFormKernelsPass(target));
  FailureOr<SmallVector<char>> elf = failure();
  if (succeeded(expected) && succeeded(manager.run(*module)))
    elf = codegen::compileKernels(*module, target);
  EXPECT_TRUE(succeeded(elf)) << text;
  if (failed(elf))
    return "";
  Library library(*elf);
  std::vector<Bytes> results = Runner(*module, library).run(memory);
  for (auto [i, result] : llvm::enumerate(results)) {
    auto type = cast<RankedTensorType>(signature.getResult(i));
    interp::Tensor actual = interp::Tensor::zeros(type);
    Tensor decoded = decode(*result, type);
    for (int64_t k = 0; k < actual.size(); ++k)
      actual.setNumber(k, decoded.data[k]);
    EXPECT_EQ(interp::firstDifference((*expected)[i], actual, tolerance), "") << "result " << i << " of " << text;
  }
  std::string formed;
  llvm::raw_string_ostream(formed) << *module;
  return formed;
}

std::string mpopt::test::checkProgram(const std::string &text, double tolerance) {
  std::string formed;
  for (const codegen::CpuTarget &target : runnableTargets()) {
    SCOPED_TRACE(target.cpu);
    formed = checkFor(target, text, tolerance);
  }
  return formed;
}
