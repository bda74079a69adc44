// Every operator split along each factor of its own rule: a new operator is covered by being there.
#include "Factors.h"
#include "Context.h"
#include "ProgramMaker.h"
#include "gtest/gtest.h"

using namespace mpopt;

namespace {

constexpr int64_t kInstances = 12;

class EachFactor : public testing::TestWithParam<llvm::StringRef> {
protected:
  EachFactor() { fuzz::loadDialects(context); }
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
};

/// Most factors of most instances can be split by some strategy; those that cannot are too short, or minor to others.
TEST_P(EachFactor, CanBeForced) {
  fuzz::FactorCounts counts;
  ASSERT_EQ(fuzz::forceFactors(&context, GetParam(), kInstances, counts), "");
  EXPECT_EQ(counts.runs > 0, counts.factors > 0) << counts.runs << " runs, " << counts.factors << " factors";
  EXPECT_GE(2 * counts.split, counts.factors);
  EXPECT_EQ(counts.routes > 0, GetParam() == "experts");
}

INSTANTIATE_TEST_SUITE_P(Operators, EachFactor, testing::ValuesIn(fuzz::ProgramMaker::names()),
                         [](const auto &info) { return info.param.str(); });

} // namespace
