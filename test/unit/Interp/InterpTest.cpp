#include "Interp/Interp.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "gmock/gmock.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using testing::ElementsAre;

namespace {

class InterpTest : public testing::Test {
protected:
  InterpTest() { context.loadDialect<func::FuncDialect, nn::NNDialect, coll::CollDialect, shd::ShdDialect>(); }

  interp::Tensor floats(std::initializer_list<int64_t> shape, std::vector<double> values) {
    interp::Tensor tensor = interp::Tensor::zeros(Float32Type::get(&context), ArrayRef(shape.begin(), shape.size()));
    tensor.floats = std::move(values);
    return tensor;
  }

  interp::Tensors run(StringRef body, std::vector<interp::Tensor> inputs, bool partitioned = false) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(body, &context);
    if (!module)
      return {};
    auto out = partitioned ? interp::interpretPartitioned(*module, inputs) : interp::interpret(*module, inputs);
    return succeeded(out) ? *out : interp::Tensors();
  }

  MLIRContext context;
};

TEST_F(InterpTest, Matmul) {
  auto out = run(R"(func.func @main(%a: tensor<2x2xf32>, %b: tensor<2x1xf32>) -> tensor<2x1xf32> {
    %0 = nn.matmul %a, %b : tensor<2x2xf32>, tensor<2x1xf32>
    return %0 : tensor<2x1xf32>
  })",
                 {floats({2, 2}, {1, 2, 3, 4}), floats({2, 1}, {5, 6})});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_THAT(out[0].floats, ElementsAre(17, 39));
}

TEST_F(InterpTest, IntegersWrap) {
  interp::Tensor large = interp::Tensor::zeros(IntegerType::get(&context, 64), {1, 2});
  large.ints = {INT64_MAX, INT64_MAX};
  auto out =
      run(R"(func.func @main(%a: tensor<1x2xi64>) -> (tensor<1xi64>, tensor<1xi64>, tensor<1x2xi64>, tensor<1x1xi64>) {
    %0 = nn.reduce sum %a [1] : tensor<1x2xi64>
    %1 = nn.reduce prod %a [1] : tensor<1x2xi64>
    %2 = nn.cum_sum %a {axis = 1} : tensor<1x2xi64>
    %3 = nn.transpose %a [1, 0] : tensor<1x2xi64>
    %4 = nn.matmul %a, %3 : tensor<1x2xi64>, tensor<2x1xi64>
    return %0, %1, %2, %4 : tensor<1xi64>, tensor<1xi64>, tensor<1x2xi64>, tensor<1x1xi64>
  })",
          {large});
  ASSERT_EQ(out.size(), 4u);
  EXPECT_THAT(out[0].ints, ElementsAre(-2));
  EXPECT_THAT(out[1].ints, ElementsAre(1));
  EXPECT_THAT(out[2].ints, ElementsAre(INT64_MAX, -2));
  EXPECT_THAT(out[3].ints, ElementsAre(2));
}

TEST_F(InterpTest, RoundsToTheElementType) {
  auto out = run(R"(func.func @main(%a: tensor<1xf32>) -> tensor<1xf32> {
    %0 = nn.exp %a : tensor<1xf32>
    return %0 : tensor<1xf32>
  })",
                 {floats({1}, {1})});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].floats[0], static_cast<double>(static_cast<float>(std::exp(1.0))));
}

TEST_F(InterpTest, GatherWithOffsetGivesZeroOutside) {
  auto out = run(R"(func.func @main(%t: tensor<2x1xf32>) -> tensor<3x1xf32> {
    %i = nn.constant dense<[1, 2, 3]> : tensor<3xi64> : tensor<3xi64>
    %o = nn.constant dense<2> : tensor<i64> : tensor<i64>
    %0 = nn.gather %t[%i - %o] {axis = 0} : tensor<2x1xf32>, tensor<3xi64>, tensor<i64>
    return %0 : tensor<3x1xf32>
  })",
                 {floats({2, 1}, {7, 8})});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_THAT(out[0].floats, ElementsAre(0, 7, 8));
}

const char *const kSum = R"(
  shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
  func.func @main(%x: tensor<2xf32> {nn.global = tensor<3xf32>, shd.sharding = #shd.sharding<@mesh, [{"a"}]>})
      -> (tensor<f32> {nn.global = tensor<f32>, shd.sharding = #shd.sharding<@mesh, []>}) {
    MASK
    %1 = nn.reduce sum %0 [0] : tensor<2xf32>
    %2 = coll.all_reduce %1 over @mesh ["a"] : tensor<f32>
    return %2 : tensor<f32>
  })";

TEST_F(InterpTest, SumOverUnevenParts) {
  std::string text = kSum;
  text.replace(text.find("MASK"), 4,
               R"(%0 = coll.mask_pad %x dim 0 size 3 value 0.0 over @mesh ["a"] : tensor<2xf32>)");
  auto out = run(text, {floats({3}, {1, 2, 4})}, true);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_THAT(out[0].floats, ElementsAre(7));
}

TEST_F(InterpTest, PaddingIsSeenWithoutAMask) {
  std::string text = kSum;
  text.replace(text.find("MASK"), 4, "%0 = nn.relu %x : tensor<2xf32>");
  auto out = run(text, {floats({3}, {1, 2, 4})}, true);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(std::isnan(out[0].floats[0]));
}

TEST_F(InterpTest, ReplicasMustAgree) {
  ScopedDiagnosticHandler quiet(&context, [](Diagnostic &) { return success(); });
  auto out = run(R"(
    shd.mesh @mesh #shd.mesh<[<"a" = 2>]>
    func.func @main(%x: tensor<1xf32> {nn.global = tensor<1xf32>, shd.sharding = #shd.sharding<@mesh, [{}]>})
        -> (tensor<1xf32> {nn.global = tensor<1xf32>, shd.sharding = #shd.sharding<@mesh, [{}]>}) {
      %0 = coll.keep_first %x over @mesh ["a"] : tensor<1xf32>
      return %0 : tensor<1xf32>
    })",
                 {floats({1}, {1})}, true);
  EXPECT_TRUE(out.empty());
}

} // namespace
