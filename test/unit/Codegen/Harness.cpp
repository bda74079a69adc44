#include "Harness.h"
#include "mlir/Parser/Parser.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/Shd/Shd.h"
#include "llvm/ADT/APFloat.h"
#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::test;

std::vector<codegen::CpuTarget> mpopt::test::runnableTargets() {
  std::vector<codegen::CpuTarget> targets{{"x86-64-v3"}};
  if (codegen::CpuTarget::native().hasAvx512())
    targets.push_back({"x86-64-v4"});
  return targets;
}

Library::Library(ArrayRef<char> elf) {
  int file = memfd_create("kernels", 0);
  EXPECT_EQ(write(file, elf.data(), elf.size()), ssize_t(elf.size()));
  std::string path = "/proc/self/fd/" + std::to_string(file);
  handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  EXPECT_TRUE(handle) << dlerror();
}

Library::~Library() {
  if (handle)
    dlclose(handle);
}

void *Library::symbol(const std::string &name) const { return handle ? dlsym(handle, name.c_str()) : nullptr; }

static const llvm::fltSemantics &semantics(Type element) { return cast<FloatType>(element).getFloatSemantics(); }

std::vector<char> mpopt::test::encode(const Tensor &tensor, Type element) {
  int64_t bytes = (element.getIntOrFloatBitWidth() + 7) / 8;
  std::vector<char> out(tensor.data.size() * bytes);
  for (size_t i = 0; i < tensor.data.size(); ++i) {
    uint64_t bits;
    if (isa<FloatType>(element)) {
      APFloat x(tensor.data[i]);
      bool loses;
      x.convert(semantics(element), APFloat::rmNearestTiesToEven, &loses);
      bits = x.bitcastToAPInt().getZExtValue();
    } else {
      bits = uint64_t(int64_t(tensor.data[i]));
    }
    std::memcpy(&out[i * bytes], &bits, bytes);
  }
  return out;
}

Tensor mpopt::test::decode(const std::vector<char> &bytes, RankedTensorType type) {
  Tensor tensor{std::vector<int64_t>(type.getShape()), {}};
  Type element = type.getElementType();
  int64_t width = (element.getIntOrFloatBitWidth() + 7) / 8;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, &bytes[i * width], width);
    if (isa<FloatType>(element)) {
      APFloat x(semantics(element), APInt(element.getIntOrFloatBitWidth(), bits));
      bool loses;
      x.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
      tensor.data.push_back(x.convertToDouble());
    } else {
      APInt x(width * 8, bits);
      tensor.data.push_back(element.isUnsignedInteger() || element.isInteger(1) ? double(x.getZExtValue())
                                                                                : double(x.getSExtValue()));
    }
  }
  return tensor;
}

MLIRContext &mpopt::test::context() {
  static MLIRContext *context = [] {
    auto *made = new MLIRContext(MLIRContext::Threading::DISABLED);
    made->loadDialect<nn::NNDialect, coll::CollDialect, shd::ShdDialect, func::FuncDialect>();
    return made;
  }();
  return *context;
}

OwningOpRef<ModuleOp> mpopt::test::parse(const std::string &text) {
  return parseSourceString<ModuleOp>(text, &context());
}

static Tensor randomTensor(RankedTensorType type, const Options &options, std::mt19937 &random) {
  Tensor tensor{std::vector<int64_t>(type.getShape()), {}};
  Type element = type.getElementType();
  std::uniform_real_distribution<double> real(options.low, options.high);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    double x = real(random);
    if (element.isInteger(1))
      x = x > 0;
    else if (isa<IntegerType>(element))
      x = element.isUnsignedInteger() ? std::abs(std::floor(x)) : std::floor(x);
    tensor.data.push_back(x);
  }
  // What the kernel will see after rounding to the element type.
  return decode(encode(tensor, element), type);
}

static void compare(const Tensor &expected, const Tensor &actual, double tolerance, const std::string &what) {
  ASSERT_EQ(expected.data.size(), actual.data.size());
  int shown = 0;
  for (size_t i = 0; i < expected.data.size() && shown < 3; ++i) {
    double x = expected.data[i], y = actual.data[i];
    if ((std::isnan(x) && std::isnan(y)) || x == y)
      continue;
    if (std::abs(x - y) <= tolerance * std::max(1.0, std::abs(x)))
      continue;
    ADD_FAILURE() << what << " element " << i << ": expected " << x << ", got " << y;
    ++shown;
  }
}

void mpopt::test::check(const std::string &text, const Options &options) {
  OwningOpRef<ModuleOp> module = parse(text);
  ASSERT_TRUE(module) << text;
  auto function = *module->getOps<func::FuncOp>().begin();
  function->setAttr("rt.kernel", UnitAttr::get(&context()));
  std::mt19937 random(1);
  std::vector<Tensor> arguments;
  std::vector<std::vector<char>> memory;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    auto tensor = cast<RankedTensorType>(type);
    bool given = i < options.given.size() && !options.given[i].data.empty();
    arguments.push_back(given ? options.given[i] : randomTensor(tensor, options, random));
    memory.push_back(encode(arguments.back(), tensor.getElementType()));
  }
  std::vector<Tensor> expected = interpret(function, arguments);
  for (const codegen::CpuTarget &target : runnableTargets()) {
    SCOPED_TRACE(target.cpu);
    FailureOr<SmallVector<char>> elf = codegen::compileKernels(*module, target);
    ASSERT_TRUE(succeeded(elf)) << text;
    Library library(*elf);
    auto *kernel = reinterpret_cast<void (*)(void *const *)>(library.symbol(function.getName().str()));
    ASSERT_TRUE(kernel);
    std::vector<void *> pointers;
    for (std::vector<char> &bytes : memory)
      pointers.push_back(bytes.data());
    constexpr char guard = 0x5a;
    constexpr size_t guardBytes = 128;
    std::vector<std::vector<char>> outputs;
    for (auto [tensor, type] : llvm::zip_equal(expected, function.getResultTypes())) {
      size_t bytes =
          tensor.data.size() * ((cast<RankedTensorType>(type).getElementType().getIntOrFloatBitWidth() + 7) / 8);
      outputs.emplace_back(bytes + guardBytes, guard);
    }
    for (std::vector<char> &bytes : outputs)
      pointers.push_back(bytes.data());
    kernel(pointers.data());
    for (size_t i = 0; i < outputs.size(); ++i) {
      auto type = cast<RankedTensorType>(function.getResultTypes()[i]);
      for (size_t k = outputs[i].size() - guardBytes; k < outputs[i].size(); ++k)
        ASSERT_EQ(outputs[i][k], guard) << "wrote behind result " << i;
      compare(expected[i], decode(outputs[i], type), options.tolerance, "result " + std::to_string(i));
    }
  }
}
