#include "mpopt/Machine/Gpu.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <tuple>

using namespace mpopt;
using namespace mpopt::machine;
using testing::HasSubstr;

namespace {

/// The fake driver's variable for one test.
struct Chosen {
  explicit Chosen(const char *name) { setenv("MPOPT_FAKE_CUDA", name, 1); }
  ~Chosen() { unsetenv("MPOPT_FAKE_CUDA"); }
};

Result<GpuMeasurement> measureFake(const std::string &folder = "fake-cuda", int gpu = 0) {
  return measureGpu({gpu, MPOPT_FAKE_CUDA_FOLDER "/" + folder});
}

void expectError(const Result<GpuMeasurement> &result, std::initializer_list<const char *> parts) {
  ASSERT_FALSE(result.has_value());
  for (const char *part : parts)
    EXPECT_THAT(result.error().message, HasSubstr(part));
}

TEST(Gpu, MeasuresWhatTheDriverSimulates) {
  Result<GpuMeasurement> gpu = measureFake();
  ASSERT_TRUE(gpu.has_value()) << gpu.error().message;
  EXPECT_EQ(gpu->name, "Fake GPU");
  EXPECT_EQ(gpu->driverVersion, 12040);
  EXPECT_EQ(gpu->units, 100);
  EXPECT_EQ(gpu->memoryBytes, int64_t(8) << 30);
  EXPECT_NEAR(gpu->launchSeconds, 2e-6, 1e-8);
  EXPECT_NEAR(gpu->memoryBandwidth, 1e12, 1e10);
  EXPECT_NEAR(gpu->cacheBandwidth, 4e12, 1e11);
  EXPECT_FALSE(gpu->peer.has_value());
}

TEST(Gpu, LeavesOutProductsThatTheLibraryOrTheMemoryDoesNotHave) {
  Result<GpuMeasurement> gpu = measureFake();
  ASSERT_TRUE(gpu.has_value()) << gpu.error().message;
  std::set<DType> types;
  for (const ProductTiming &product : gpu->products) {
    types.insert(product.type);
    EXPECT_GT(product.seconds, 0);
    EXPECT_LT(product.bytes(), 8.0 * (1 << 30));
  }
  EXPECT_EQ(types, (std::set<DType>{DType::F64, DType::F32, DType::F16, DType::BF16, DType::F8}));
}

TEST(Gpu, MeasuresCopiesBetweenTwo) {
  Chosen chosen("two-gpus");
  Result<GpuMeasurement> gpu = measureFake("fake-cuda", 1);
  ASSERT_TRUE(gpu.has_value()) << gpu.error().message;
  EXPECT_EQ(gpu->gpus, 2);
  ASSERT_TRUE(gpu->peer.has_value());
  EXPECT_NEAR(gpu->peer->latencySeconds, 5e-6, 1e-7);
  EXPECT_NEAR(gpu->peer->bandwidth, 5e10, 1e9);
}

TEST(Gpu, ErrorsSayWhatIsMissing) {
  expectError(measureFake("fake-cuda", 1), {"--gpu 1", "has 1 GPU(s)"});
  expectError(measureFake("fake-cuda-empty"), {"fake-cuda-empty", "no function cuInit", "install"});
  expectError(measureFake("fake-cuda-blasless"), {"fake-cuda-blasless", "no function cublasLtCreate", "install"});
}

TEST(Gpu, FailuresOfTheDriverAreReported) {
  for (auto [name, part] : {std::pair("no-device", "sees no GPU"), std::pair("full-memory", "MiB of memory left"),
                            std::pair("broken-kernel", "mpopt_wait failed: a fake failure (700)"),
                            std::pair("broken-blas", "cuBLASLt does not start on GPU Fake GPU")}) {
    Chosen chosen(name);
    expectError(measureFake(), {part});
  }
}

TEST(Products, ShapesAreDistinct) {
  std::set<std::tuple<DType, bool, int64_t, int64_t, int64_t, int64_t>> seen;
  for (const ProductTiming &p : productShapes())
    EXPECT_TRUE(seen.insert({p.type, p.exact, p.batch, p.m, p.n, p.k}).second) << toCsv({p});
  EXPECT_GT(seen.size(), 400u);
}

TEST(Products, BytesAndAlignmentFollowTheType) {
  EXPECT_EQ((ProductTiming{DType::BF16, true, 2, 3, 4, 5}.bytes()), 2 * 2 * (15 + 20 + 12));
  EXPECT_EQ((ProductTiming{DType::I8, true, 1, 3, 4, 5}.bytes()), 15 + 20 + 4 * 12);
  EXPECT_TRUE((ProductTiming{DType::F16, true, 1, 1, 8, 16}.aligned()));
  EXPECT_FALSE((ProductTiming{DType::F16, true, 1, 1, 50257, 768}.aligned()));
}

TEST(Products, TablesReadBack) {
  std::vector<ProductTiming> products = {{DType::F32, true, 1, 2, 3, 4, 1e-6}, {DType::F32, false, 5, 6, 7, 8, 0.5}};
  Result<std::vector<ProductTiming>> again = parseProducts(toCsv(products), "table");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(toCsv(*again), toCsv(products));
  EXPECT_FALSE((*again)[1].exact);
}

TEST(Products, BadTablesNameTheirLine) {
  std::string header = toCsv({});
  for (const char *line : {"f32,1,2,3,4", "f33,1,2,3,4,1e-6", "f32,1,2,3,0,1e-6", "f32,1,2,3,4,inf", "f32,1,2,3,4,-1"})
    EXPECT_THAT(parseProducts(header + line + "\n", "my.csv").error().message, HasSubstr("my.csv:2"));
  EXPECT_THAT(parseProducts("m,n,k\n", "my.csv").error().message, HasSubstr("my.csv:1"));
}

} // namespace
