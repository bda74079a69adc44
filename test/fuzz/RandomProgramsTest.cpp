// Random programs, meshes and shardings: the partitioned program must compute what the whole one does.
#include "Check.h"
#include "Context.h"
#include "gtest/gtest.h"

using namespace mpopt;

namespace {

/// Seeds per case: cases run in parallel, and a failure names its seed.
constexpr uint64_t kSeedsPerCase = 1000, kPlannedPerCase = 40, kCompiledPerCase = 25;

class RandomPrograms : public testing::TestWithParam<uint64_t> {
protected:
  RandomPrograms() { fuzz::loadDialects(context); }
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
};

TEST_P(RandomPrograms, AreTheSameWhenPartitioned) {
  for (uint64_t seed = GetParam() * kSeedsPerCase; seed < (GetParam() + 1) * kSeedsPerCase; ++seed)
    ASSERT_EQ(fuzz::runSeed(&context, seed), "");
}
TEST_P(RandomPrograms, AreTheSameWhenPlanned) {
  for (uint64_t seed = GetParam() * kPlannedPerCase; seed < (GetParam() + 1) * kPlannedPerCase; ++seed)
    ASSERT_EQ(fuzz::runPlannedSeed(&context, seed), "");
}
TEST_P(RandomPrograms, AreTheSameWhenCompiled) {
  for (uint64_t seed = GetParam() * kCompiledPerCase; seed < (GetParam() + 1) * kCompiledPerCase; ++seed)
    ASSERT_EQ(fuzz::runCompiledSeed(&context, seed), "");
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomPrograms, testing::Range<uint64_t>(0, 10));

TEST(ProgramMaker, KnowsEveryOperator) {
  mlir::MLIRContext context;
  fuzz::loadDialects(context);
  auto names = fuzz::ProgramMaker::names();
  for (mlir::RegisteredOperationName op : context.getRegisteredOperationsByDialect("nn"))
    EXPECT_TRUE(llvm::is_contained(names, op.stripDialect())) << op.getStringRef().str();
}

} // namespace
