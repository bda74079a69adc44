// What prices are made of: the work of operators, and the weights that a step reads.
#include "Prices.h"
#include "mpopt/Dialect/NN/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt;

namespace {

struct PricesTest : testing::Test {
  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;

  func::FuncOp parse(const std::string &text) {
    context.loadDialect<nn::NNDialect, func::FuncDialect, arith::ArithDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
    return module ? module->lookupSymbol<func::FuncOp>("main") : func::FuncOp();
  }
};

/// The others wait for the device whose experts have most tokens. A device of few experts has more to fear than one of many.
TEST_F(PricesTest, ExpertsAreNotChosenEvenly) {
  func::FuncOp main = parse(R"(
    func.func @main(%x: tensor<2x512x64xf32>, %i: tensor<2x512x2xi64>, %s: tensor<2x512x2xf32>, %up: tensor<8x64x128xf32>,
                    %down: tensor<8x128x64xf32>) -> tensor<2x512x64xf32> {
      %0 = nn.experts silu %x[%i] %s up %up down %down : tensor<2x512x64xf32>, tensor<2x512x2xi64>, tensor<2x512x2xf32>, tensor<8x64x128xf32>, tensor<8x128x64xf32>
      return %0 : tensor<2x512x64xf32>
    })");
  ASSERT_TRUE(main);
  auto experts = cast<shd::PartitionInterface>(main.getBody().front().front());
  shd::PartitionRule rule = experts.getPartitionRule();
  auto share = [&](int64_t own) {
    SmallVector<int64_t> whole, sizes;
    for (const shd::Factor &factor : rule.factors) {
      whole.push_back(factor.size);
      sizes.push_back(factor.role == shd::FactorRole::Expert ? own : factor.size);
    }
    return experts.getLocalWork(sizes).flops / experts.getLocalWork(whole).flops;
  };
  EXPECT_EQ(share(8), 1);
  EXPECT_NEAR(share(4), (1 + 0.3 * std::sqrt(2 * std::log(2) / 7)) / 2, 1e-9);
  EXPECT_NEAR(share(1), (1 + 0.3 * std::sqrt(8 * std::log(8) / 7)) / 8, 1e-9);
  EXPECT_GT(share(1) * 8, share(4) * 2);
}

/// %w is read as it is and transposed; the transpose itself is made before the first step.
TEST_F(PricesTest, WeightsAreCountedOnce) {
  func::FuncOp main = parse(R"(
    func.func @main(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %w = arith.constant dense<0.5> : tensor<8x8xf32>
      %t = nn.transpose %w [1, 0] : tensor<8x8xf32>
      %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
      %1 = nn.matmul %0, %t : tensor<4x8xf32>, tensor<8x8xf32>
      %2 = nn.matmul %1, %t : tensor<4x8xf32>, tensor<8x8xf32>
      return %1, %2 : tensor<4x8xf32>, tensor<4x8xf32>
    })");
  ASSERT_TRUE(main);
  EXPECT_EQ(planning::weightBytesOf(main), 2 * 8 * 8 * 4);
}

} // namespace
