// What kernels compute together, as prices take it.
#include "Fusing.h"
#include "mpopt/Dialect/NN/NN.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt::planning;

namespace {

/// Per operator of a function, the operands that are fused, as "matmul", "add 0", ..
std::vector<std::string> fused(const std::string &text) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<mpopt::nn::NNDialect, func::FuncDialect>();
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  std::vector<std::string> result;
  if (!module)
    return {"does not parse"};
  module->walk([&](Operation *op) {
    if (!isa<mpopt::nn::NNDialect>(op->getDialect()))
      return;
    std::string line = op->getName().stripDialect().str();
    for (OpOperand &operand : op->getOpOperands())
      if (isFused(operand))
        line += " " + std::to_string(operand.getOperandNumber());
    result.push_back(line);
  });
  return result;
}

TEST(Fusing, EpiloguesResidualsAndNorms) {
  EXPECT_THAT(fused(R"(
    func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
      %1 = nn.add %0, %b : tensor<4x8xf32>, tensor<8xf32>
      %2 = nn.gelu %1 : tensor<4x8xf32>
      %3 = nn.add %x, %2 : tensor<4x8xf32>, tensor<4x8xf32>
      %4 = nn.layer_norm %3 {axis = 1 : i64, epsilon = 1.0e-05 : f64} : tensor<4x8xf32>
      return %3, %4 : tensor<4x8xf32>, tensor<4x8xf32>
    })"),
              testing::ElementsAre("matmul", "add 0", "gelu 0", "add 1", "layer_norm"));
}

TEST(Fusing, ViewsAreReadByTheirUsersUnlessTheseNeedMemory) {
  EXPECT_THAT(fused(R"(
    func.func @main(%q: tensor<1x5x2x4xf32>, %k: tensor<1x2x5x4xf32>) -> tensor<1x5x8xf32> {
      %0 = nn.transpose %q [0, 2, 1, 3] : tensor<1x5x2x4xf32>
      %1 = nn.attention %0, %k, %k {scale = 0.5 : f64} : tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>
      %2 = nn.transpose %1 [0, 2, 1, 3] : tensor<1x2x5x4xf32>
      %3 = nn.reshape %2 : tensor<1x5x2x4xf32> -> tensor<1x5x8xf32>
      return %3 : tensor<1x5x8xf32>
    })"),
              testing::ElementsAre("transpose", "attention 0", "transpose 0", "reshape"));
}

TEST(Fusing, NothingThatBroadcastsOrHasSeveralUsers) {
  EXPECT_THAT(fused(R"(
    func.func @main(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %0 = nn.reduce sum %x [0] : tensor<4x8xf32>
      %1 = nn.add %x, %0 : tensor<4x8xf32>, tensor<8xf32>
      %2 = nn.exp %1 : tensor<4x8xf32>
      return %1, %2 : tensor<4x8xf32>, tensor<4x8xf32>
    })"),
              testing::ElementsAre("reduce", "add", "exp"));
}

} // namespace
