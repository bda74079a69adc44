// Any bytes as a pin file: refused with a message, or pins by which a small program is planned or refused with a diagnostic.
#include "Input.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Planning/Planning.h"

using namespace mlir;
using namespace mpopt;
using hostile::expect;

static const char kProgram[] = R"(
func.func @main(%x: tensor<4x6xf32> {nn.name = "x"}) -> (tensor<4x8xf32> {nn.name = "y"}) {
  %w = nn.weight "w" <"w.bin", 0, 192> : tensor<6x8xf32>
  %p = nn.matmul %x, %w : tensor<4x6xf32>, tensor<6x8xf32> loc("product")
  %y = nn.relu %p : tensor<4x8xf32> loc("activation")
  return %y : tensor<4x8xf32>
})";

static void plan(const std::vector<planning::Pin> &pins) {
  static const machine::Machine machine = *machine::load("test-host");
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<func::FuncDialect, nn::NNDialect, shd::ShdDialect>();
  bool told = false;
  context.getDiagEngine().registerHandler([&](Diagnostic &) { return told = true, success(); });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(kProgram, &context);
  expect(static_cast<bool>(module), "the program is right");
  planning::PlanOptions options;
  options.machine = &machine;
  options.devices = 4;
  options.pins = pins;
  planning::PlanReport report;
  bool planned = succeeded(planning::planModule(*module, options, report));
  expect(planned || told, "a refusal says why");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  for (const char *file : {"pins.json", "pins.toml"}) {
    Result<std::vector<planning::Pin>> pins = planning::parsePins(text, file);
    if (pins)
      plan(*pins);
    else
      expect(!pins.error().message.empty(), "a refusal says why");
  }
  return 0;
}
