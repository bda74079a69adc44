#include "Model.h"
#include "mlir/Parser/Parser.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Planning/Planning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::planning;

namespace {

class PlanModuleTest : public ::testing::Test {
protected:
  PlanModuleTest() : machine(*machine::load(MPOPT_TEST_MACHINE)) {
    context.loadDialect<func::FuncDialect, nn::NNDialect, shd::ShdDialect>();
  }

  OwningOpRef<ModuleOp> parse(StringRef text) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return module;
  }

  PlanReport plan(ModuleOp module, PlanOptions options) {
    options.machine = &machine;
    PlanReport report;
    EXPECT_TRUE(succeeded(planModule(module, options, report)));
    return report;
  }

  static PlanOptions devices(int64_t devices, StringRef strategy = "") {
    PlanOptions options;
    options.devices = devices;
    if (!strategy.empty())
      options.strategy = *parseStrategy(strategy.str());
    return options;
  }

  static std::string print(ModuleOp module) {
    std::string text;
    llvm::raw_string_ostream os(text);
    module.print(os);
    return text;
  }

  /// Least cost over all choices of shardings, each value resharded once per sharding in which it is used, from the nearest copy.
  double bruteForce(ModuleOp module, int64_t devices) {
    PlanMesh mesh = *makePlanMesh(&context, [&] {
      PlanOptions options;
      options.machine = &machine;
      options.devices = devices;
      return options;
    }());
    machine::Machine shared = machine::forDevices(machine, devices);
    Prices prices(shared, mesh, 0);
    PinBoard pins = *PinBoard::make({}, {}, mesh);
    Model model(module.lookupSymbol<func::FuncOp>("main"), mesh, prices, pins);
    EXPECT_TRUE(succeeded(model.build()));
    SmallVector<int> deciding;
    size_t combinations = 1;
    for (auto [index, decision] : llvm::enumerate(model.decisions))
      if (decision.kind != Decision::Shared) {
        deciding.push_back(index);
        combinations *= decision.options->size();
      }
    EXPECT_LT(combinations, 5000000u);
    std::vector<int> choice(model.decisions.size(), 0);
    double least = search::kForbidden;
    for (bool more = true; more;) {
      least = std::min(least, cost(model, prices, choice));
      more = false;
      for (int index : deciding) {
        if (++choice[index] < static_cast<int>(model.decisions[index].options->size())) {
          more = true;
          break;
        }
        choice[index] = 0;
      }
    }
    return least;
  }

  static double cost(const Model &model, Prices &prices, ArrayRef<int> choice) {
    double sum = 0;
    for (auto [index, decision] : llvm::enumerate(model.decisions)) {
      const Option &option = (*decision.options)[choice[index]];
      sum += option.computeSeconds + option.commSeconds;
    }
    llvm::DenseMap<Value, SmallVector<unsigned>> copies;
    for (const Use &use : model.uses) {
      auto [producer, result] = model.producerOf(use.value);
      SmallVector<unsigned> &have = copies[use.value];
      if (have.empty())
        have.push_back((*model.decisions[producer].options)[choice[producer]].out[result]);
      unsigned to = (*model.decisions[use.user].options)[choice[use.user]].in[use.operand];
      double least = search::kForbidden;
      for (unsigned from : have)
        least = std::min(least, prices.reshard(from, to, cast<RankedTensorType>(use.value.getType())));
      sum += least;
      have.push_back(to);
    }
    return sum;
  }

  MLIRContext context;
  machine::Machine machine;
};

constexpr StringLiteral kProducts = R"(
  func.func @main(%x: tensor<512x256xf32> {nn.name = "x"}) -> (tensor<512x256xf32> {nn.name = "y"}) {
    %w1 = nn.weight "w1" <"m.bin", 0, 1048576> : tensor<256x1024xf32>
    %w2 = nn.weight "w2" <"m.bin", 1048576, 1048576> : tensor<1024x256xf32>
    %0 = nn.matmul %x, %w1 : tensor<512x256xf32>, tensor<256x1024xf32> loc("up")
    %1 = nn.relu %0 : tensor<512x1024xf32> loc("relu")
    %2 = nn.matmul %1, %w2 : tensor<512x1024xf32>, tensor<1024x256xf32> loc("down")
    return %2 : tensor<512x256xf32>
  })";

constexpr StringLiteral kDiamond = R"(
  func.func @main(%x: tensor<6x64xf32> {nn.name = "x"}) -> (tensor<6x64xf32> {nn.name = "y"}) {
    %w1 = nn.weight "w1" <"m.bin", 0, 16384> : tensor<64x64xf32>
    %0 = nn.matmul %x, %w1 : tensor<6x64xf32>, tensor<64x64xf32>
    %1 = nn.softmax %0 {axis = 1 : i64} : tensor<6x64xf32>
    %2 = nn.mul %0, %1 : tensor<6x64xf32>, tensor<6x64xf32>
    return %2 : tensor<6x64xf32>
  })";

TEST_F(PlanModuleTest, FindsTheCheapestPlan) {
  for (StringRef text : {kProducts, kDiamond})
    for (int64_t n : {1, 2, 3}) {
      OwningOpRef<ModuleOp> module = parse(text);
      PlanReport report = plan(*module, devices(n));
      double least = bruteForce(*module, n);
      EXPECT_NEAR(report.predictedSeconds, least, 1e-8) << n;
      EXPECT_LE(report.lowerBoundSeconds, report.predictedSeconds);
    }
}

TEST_F(PlanModuleTest, MoreDevicesTakeLessTime) {
  OwningOpRef<ModuleOp> module = parse(kProducts);
  double one = plan(*module, devices(1)).predictedSeconds;
  EXPECT_LT(plan(*module, devices(2)).predictedSeconds, 0.6 * one);
  EXPECT_LT(plan(*module, devices(4)).predictedSeconds, 0.35 * one);
}

TEST_F(PlanModuleTest, PlansAgainAsIfForTheFirstTime) {
  OwningOpRef<ModuleOp> once = parse(kProducts), twice = parse(kProducts);
  plan(*once, devices(4));
  plan(*twice, devices(6, "dp=3,tp=2"));
  plan(*twice, devices(4));
  EXPECT_EQ(print(*once), print(*twice));
}

TEST_F(PlanModuleTest, ReportsEveryOperatorByItsNode) {
  OwningOpRef<ModuleOp> module = parse(kProducts);
  PlanReport report = plan(*module, devices(2, "tp=2"));
  ASSERT_EQ(report.ops.size(), 3u);
  EXPECT_EQ(report.ops[0].node, "up");
  EXPECT_EQ(report.ops[0].op, "nn.matmul");
  EXPECT_EQ(report.ops[0].sharding, "[-, -] [-, x0] -> [-, x0]");
  EXPECT_EQ(report.ops[2].sharding, "[-, x0] [x0, -] -> [-, -] partial x0");
  EXPECT_GT(report.ops[2].runnerUpSeconds, 0);
  EXPECT_EQ(report.weightBytes, 2 * 1048576 / 2);
  EXPECT_THAT(formatReport(report), ::testing::HasSubstr("nn.matmul down"));
}

TEST_F(PlanModuleTest, HoldsPins) {
  OwningOpRef<ModuleOp> module = parse(kProducts);
  PlanOptions options = devices(4);
  options.pins = {{"up", {{{"x1"}, {}}, {{"x0"}, {}}}}, {"w2", {{{}, {}}, {{}, 4}}}};
  PlanReport report = plan(*module, options);
  EXPECT_THAT(report.ops[0].sharding, ::testing::EndsWith("-> [x1, x0]"));
  EXPECT_THAT(report.ops[2].sharding, ::testing::HasSubstr("[-, x0 x1] ->"));
}

TEST_F(PlanModuleTest, StaysWithinTheMemoryLimit) {
  OwningOpRef<ModuleOp> module = parse(kProducts);
  PlanOptions options = devices(2);
  int64_t free = plan(*module, options).memoryBytes;
  options.objective = "memory";
  int64_t least = plan(*module, options).memoryBytes;
  EXPECT_LT(least, free);
  options.objective = "latency";
  options.memoryLimit = (free + least) / 2;
  EXPECT_LE(plan(*module, options).memoryBytes, *options.memoryLimit);
}

} // namespace
