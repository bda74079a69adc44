#include "RunCompiled.h"
#include "launch/Session.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "mpopt/Codegen/Codegen.h"
#include "mpopt/Emit/Emit.h"
#include "mpopt/Schedule/Passes.h"
#include "llvm/Support/FileSystem.h"
#include <cstring>
#include <fstream>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::fuzz;

//===----------------------------------------------------------------------===//
// Precision
//===----------------------------------------------------------------------===//

static Type narrow(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return tensor.clone(narrow(tensor.getElementType()));
  return type.isF64() ? Float32Type::get(type.getContext()) : type;
}

static ElementsAttr narrow(ElementsAttr value) {
  auto dense = cast<DenseElementsAttr>(value);
  if (!dense.getElementType().isF64())
    return value;
  std::vector<float> floats;
  for (double number : dense.getValues<double>())
    floats.push_back(static_cast<float>(number));
  return DenseElementsAttr::get(cast<RankedTensorType>(narrow(dense.getType())), ArrayRef<float>(floats));
}

/// A weight's values follow from its name; those of equal names are equal, whatever their place.
static void placeWeights(ModuleOp module) {
  uint64_t offset = 0;
  module.walk([&](nn::WeightOp weight) {
    RankedTensorType type = weight.getType();
    uint64_t bits = type.getElementType().isInteger(1) ? 8 : type.getElementTypeBitWidth();
    uint64_t bytes = static_cast<uint64_t>(type.getNumElements()) * bits / 8;
    weight.setSourceAttr(
        nn::ExternalAttr::get(weight.getContext(), StringAttr::get(weight.getContext(), "w.bin"), offset, bytes));
    offset += bytes;
  });
}

Program mpopt::fuzz::inSinglePrecision(Program &program) {
  Program single = program.clone();
  single.module->walk([](Operation *op) {
    for (Value result : op->getResults())
      result.setType(narrow(result.getType()));
    if (auto constant = dyn_cast<nn::ConstantOp>(op))
      constant.setValueAttr(narrow(constant.getValue()));
  });
  func::FuncOp main = single.main();
  for (BlockArgument argument : main.getArguments())
    argument.setType(narrow(argument.getType()));
  SmallVector<Type> results;
  for (Type type : main.getResultTypes())
    results.push_back(narrow(type));
  main.setType(FunctionType::get(main.getContext(), main.getBody().getArgumentTypes(), results));
  placeWeights(*single.module);
  for (interp::Tensor &input : single.inputs) {
    input.element = narrow(input.element);
    input.round(/*keepDoubles=*/false);
  }
  return single;
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

static void append(std::vector<std::byte> &bytes, const void *data, size_t size) {
  bytes.insert(bytes.end(), static_cast<const std::byte *>(data), static_cast<const std::byte *>(data) + size);
}

static std::vector<std::byte> encode(const interp::Tensor &tensor) {
  std::vector<std::byte> bytes;
  for (int64_t i = 0; i < tensor.size(); ++i)
    if (tensor.isFloat()) {
      auto value = static_cast<float>(tensor.floats[i]);
      append(bytes, &value, sizeof value);
    } else { // little-endian
      append(bytes, &tensor.ints[i], tensor.element.isInteger(1) ? 1 : tensor.element.getIntOrFloatBitWidth() / 8);
    }
  return bytes;
}

static interp::Tensor decode(const runtime::Tensor &from, Type type) {
  interp::Tensor tensor = interp::Tensor::zeros(type);
  size_t width = tensor.element.isInteger(1) ? 1 : tensor.element.getIntOrFloatBitWidth() / 8;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const std::byte *at = from.data.data() + i * width;
    if (tensor.isFloat()) {
      float value;
      std::memcpy(&value, at, width);
      tensor.floats[i] = value;
    } else if (width == 1) {
      tensor.ints[i] = static_cast<int64_t>(*at);
    } else if (width == 4) {
      int32_t value;
      std::memcpy(&value, at, width);
      tensor.ints[i] = value;
    } else {
      std::memcpy(&tensor.ints[i], at, width);
    }
  }
  return tensor;
}

static plan::DType typeOf(Type element) {
  return element.isF32()         ? plan::DType::f32
         : element.isInteger(1)  ? plan::DType::boolean
         : element.isInteger(32) ? plan::DType::i32
                                 : plan::DType::i64;
}

//===----------------------------------------------------------------------===//
// Compile and run
//===----------------------------------------------------------------------===//

namespace {

/// A folder for a plan and its weights, for as long as this lives.
struct Folder {
  Folder() { (void)llvm::sys::fs::createUniqueDirectory("mpopt-random", path); }
  ~Folder() { (void)llvm::sys::fs::remove_directories(path); }
  std::string operator/(StringRef name) const { return (path + "/" + name).str(); }
  SmallString<128> path;
};

} // namespace

static void writeWeights(ModuleOp module, const std::string &path) {
  std::ofstream file(path, std::ios::binary);
  module.walk([&](nn::WeightOp weight) {
    std::vector<std::byte> bytes = encode(interp::randomTensor(weight.getType(), interp::hashName(weight.getName())));
    file.seekp(static_cast<std::streamoff>(weight.getSource().getOffset()));
    file.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  });
}

static LogicalResult writePlan(ModuleOp module, const Folder &folder) {
  codegen::CpuTarget target = codegen::CpuTarget::native();
  PassManager manager(module.getContext());
  manager.addPass(schedule::createLowerPlaces());
  manager.addPass(createCSEPass());
  manager.addPass(codegen::createFormKernelsPass(target));
  manager.addPass(schedule::createBuildProgram());
  if (failed(manager.run(module)))
    return failure();
  auto elf = codegen::compileKernels(module, target);
  if (failed(elf))
    return failure();
  return emit::emitPlan(module, *elf, "{}",
                        {folder / "p.mpplan", folder.path.str().str(), "m.onnx", target.cpu, "test"});
}

FailureOr<interp::Tensors> mpopt::fuzz::runCompiled(Program &partitioned) {
  ModuleOp module = *partitioned.module;
  auto fail = [&](const Error &error) { return module.emitError(error.message); };
  SmallVector<Type> results(partitioned.main().getResultTypes());
  Folder folder;
  writeWeights(module, folder / "w.bin");
  if (failed(writePlan(module, folder)))
    return failure();
  auto loaded = runtime::LoadedPlan::open(folder / "p.mpplan");
  if (!loaded)
    return fail(loaded.error());
  auto session = runtime::Session::create(*loaded, {});
  if (!session)
    return fail(session.error());
  for (auto [i, input] : llvm::enumerate(partitioned.inputs))
    if (Status set =
            session->setInput(i, {typeOf(input.element), {input.shape.begin(), input.shape.end()}, encode(input)});
        !set)
      return fail(set.error());
  if (Status status = session->run(); !status)
    return fail(status.error());
  interp::Tensors outputs;
  for (auto [i, type] : llvm::enumerate(results)) {
    runtime::Tensor output = session->output(i);
    outputs.push_back(
        decode(output, RankedTensorType::get(output.shape, cast<RankedTensorType>(type).getElementType())));
  }
  return outputs;
}
