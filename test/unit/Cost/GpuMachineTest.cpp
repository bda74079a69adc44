#include "mpopt/Cost/GpuMachine.h"
#include "mpopt/Cost/Cost.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

using namespace mpopt;
using namespace mpopt::cost;
using namespace mpopt::machine;
using testing::HasSubstr;

namespace {

/// The shapes of a calibration with the times that the cost model gives them on `machine`.
std::vector<ProductTiming> timesOn(const Machine &machine, DType type) {
  std::vector<ProductTiming> products;
  for (ProductTiming product : productShapes()) {
    product.seconds = coldProductSeconds(machine, product);
    if (product.type == type && product.exact)
      products.push_back(product);
  }
  return products;
}

Machine h100With(double efficiency, double smallK, std::vector<double> tiles) {
  Machine machine = *load("h100");
  machine.devices[0].launchSeconds = 3.5e-6;
  MatmulModel &model = machine.devices[0].matmul;
  model.efficiency = efficiency;
  model.smallK = smallK;
  for (size_t i = 0; i < tiles.size(); ++i)
    model.tiles[i].efficiency = tiles[i];
  return machine;
}

/// An H100 as it is known before its products are timed: an empty kernel starts sooner than a product.
Machine faster() {
  Machine machine = *load("h100");
  machine.devices[0].launchSeconds = 1.7e-6;
  return machine;
}

TEST(MatmulFit, FindsTheConstantsThatMadeTheTimes) {
  Machine truth = h100With(0.62, 150, {1, 0.9, 0.7, 0.5});
  ProductConstants constants = fitProducts(faster(), timesOn(truth, DType::BF16));
  MatmulModel model = constants.matmul;
  EXPECT_NEAR(constants.launchSeconds, 3.5e-6, 1e-7);
  EXPECT_NEAR(model.efficiency, 0.62, 0.01);
  EXPECT_NEAR(model.smallK, 150, 10);
  EXPECT_EQ(model.tiles[0].efficiency, 1);
  EXPECT_NEAR(model.tiles[1].efficiency, 0.9, 0.03);
  EXPECT_NEAR(model.tiles[2].efficiency, 0.7, 0.03);
  EXPECT_NEAR(model.tiles[3].efficiency, 0.5, 0.03);
}

TEST(MatmulFit, DepthMayCostNothing) {
  MatmulModel model = fitProducts(faster(), timesOn(h100With(0.8, 0, {1, 0.9, 0.7, 0.5}), DType::BF16)).matmul;
  EXPECT_NEAR(model.efficiency, 0.8, 0.01);
  EXPECT_NEAR(model.smallK, 0, 2);
}

TEST(MatmulFit, AFewWildTimesDoNotMoveTheConstants) {
  std::vector<ProductTiming> products = timesOn(h100With(0.7, 100, {1, 0.9, 0.7, 0.5}), DType::BF16);
  for (size_t i = 0; i < products.size(); i += 25)
    products[i].seconds *= 5;
  EXPECT_NEAR(fitProducts(faster(), products).matmul.efficiency, 0.7, 0.02);
}

TEST(MatmulFit, WithoutProductsTheModelStays) {
  ProductConstants constants = fitProducts(*load("h100"), {});
  EXPECT_EQ(constants.matmul.efficiency, load("h100")->device().matmul.efficiency);
  EXPECT_EQ(constants.launchSeconds, load("h100")->device().launchSeconds);
}

/// The shipped file against an H100 80GB HBM3 (driver 580, cuBLASLt 13.0), whose products `mpopt calibrate` timed.
TEST(ProductErrors, TheShippedH100AgreesWithAMeasuredOne) {
  std::ifstream file(MPOPT_COST_INPUTS "/h100-products.csv");
  std::stringstream csv;
  csv << file.rdbuf();
  Result<std::vector<ProductTiming>> products = parseProducts(csv.str(), "h100-products.csv");
  ASSERT_TRUE(products.has_value()) << products.error().message;
  for (auto [type, bar] : {std::pair(DType::BF16, 0.065), std::pair(DType::F16, 0.065), std::pair(DType::F8, 0.08)}) {
    std::vector<ProductTiming> part;
    std::copy_if(products->begin(), products->end(), std::back_inserter(part),
                 [type = type](const ProductTiming &product) { return product.type == type; });
    ProductErrors errors = productErrors(*load("h100"), part);
    EXPECT_GE(errors.products, 60u);
    EXPECT_LT(errors.mean, bar) << name(type);
  }
}

TEST(ProductErrors, LeaveOutUnalignedAndExactProducts) {
  Machine machine = *load("h100");
  std::vector<ProductTiming> products = {{DType::BF16, true, 1, 4096, 4096, 4096, 0},
                                         {DType::BF16, true, 1, 4096, 50257, 4096, 1},
                                         {DType::F32, true, 1, 4096, 4096, 4096, 1}};
  products[0].seconds = coldProductSeconds(machine, products[0]) / 1.1;
  ProductErrors errors = productErrors(machine, products);
  EXPECT_EQ(errors.products, 1u);
  EXPECT_NEAR(errors.mean, 0.1, 1e-9);
  EXPECT_NEAR(errors.bias, 0.1, 1e-9);
}

GpuMeasurement measured() {
  GpuMeasurement gpu;
  gpu.name = "Card";
  gpu.driverVersion = 12040;
  gpu.units = 132;
  gpu.memoryBytes = int64_t(80) << 30;
  gpu.cacheBytes = 50 << 20;
  gpu.memoryBandwidth = load("h100")->device().memoryBandwidth;
  gpu.cacheBandwidth = 5.5e12;
  gpu.launchSeconds = 1.7e-6;
  gpu.products = timesOn(*load("h100"), DType::BF16);
  gpu.products.push_back({DType::F32, false, 1, 4096, 4096, 4096, 4e-4});
  gpu.products.push_back({DType::F32, true, 1, 4096, 4096, 4096, 3e-3});
  return gpu;
}

TEST(GpuMachine, TakesRatesFromTheMeasurementAndLinksFromTheMachine) {
  Machine machine = gpuMachine(measured(), load("h100").value());
  EXPECT_NEAR(machine.device().peakFlops(DType::F32), 2 * std::pow(4096, 3) / 4e-4, 1e12);
  EXPECT_NEAR(machine.device().vectorFlops, 2 * std::pow(4096, 3) / 3e-3, 1e11);
  EXPECT_EQ(machine.device().peak[size_t(DType::F16)], 0);
  EXPECT_EQ(machine.links.size(), load("h100")->links.size());
  EXPECT_THAT(machine.note, testing::AllOf(HasSubstr("one Card"), HasSubstr("CUDA 12.4"), HasSubstr("'h100'")));
  EXPECT_LT(productErrors(machine, measured().products).mean, 0.01);
  Result<Machine> again = parse(toToml(machine), "written");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(toToml(*again), toToml(machine));
}

TEST(GpuMachine, WithoutLinksThereIsOneDevice) {
  Machine machine = gpuMachine(measured(), std::nullopt);
  EXPECT_EQ(machine.maxDevices(), 1);
  EXPECT_TRUE(parse(toToml(machine), "written").has_value());
}

TEST(GpuMachine, MeasuredCopiesReplaceTheInnermostLink) {
  GpuMeasurement gpu = measured();
  gpu.gpus = 4;
  gpu.peer = PeerTiming{7e-6, 2e11};
  EXPECT_EQ(gpuMachine(gpu, std::nullopt).maxDevices(), 4);
  Machine machine = gpuMachine(gpu, load("h100").value());
  EXPECT_EQ(machine.links[0].count, 4);
  EXPECT_EQ(machine.links[0].bandwidth, 2e11);
  EXPECT_EQ(machine.links[1].bandwidth, load("h100")->links[1].bandwidth);
}

} // namespace
