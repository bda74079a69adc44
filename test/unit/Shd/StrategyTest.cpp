#include "mlir/IR/MLIRContext.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt::shd;

namespace {

class StrategyTest : public testing::Test {
protected:
  StrategyTest() {
    context.loadDialect<ShdDialect>();
    SmallVector<MeshAxisAttr> meshAxes;
    for (StringRef axis : {"a", "b"})
      meshAxes.push_back(MeshAxisAttr::get(&context, StringAttr::get(&context, axis), 2, 0));
    mesh = MeshAttr::get(&context, meshAxes);
    name = FlatSymbolRefAttr::get(&context, "mesh");
  }

  /// "a", "b", "ab" or "" per factor.
  FactorSharding strategy(std::vector<std::string> axes, std::string unreduced = "") {
    FactorSharding result;
    for (const std::string &letters : axes)
      result.axes.push_back(split(letters));
    result.unreduced = split(unreduced);
    return result;
  }
  SmallVector<StringAttr> split(const std::string &letters) {
    SmallVector<StringAttr> result;
    for (char letter : letters)
      result.push_back(StringAttr::get(&context, StringRef(&letter, 1)));
    return result;
  }
  static std::string text(Attribute attr) {
    std::string result;
    llvm::raw_string_ostream(result) << attr;
    return result;
  }

  /// (m,k) x (k,n) -> (m,n)
  static PartitionRule matmul(int64_t m, int64_t n, int64_t k) {
    PartitionRule rule;
    rule.addFactor(m);
    rule.addFactor(n);
    rule.addFactor(k, FactorKind::Reduce);
    rule.operandDims = {{{0}, {2}}, {{2}, {1}}};
    rule.resultDims = {{{0}, {1}}};
    rule.linearIn = {{0}, {1}};
    return rule;
  }
  /// (h d) -> (h, d)
  static PartitionRule heads(int64_t h, int64_t d) {
    PartitionRule rule;
    rule.addFactor(h);
    rule.addFactor(d);
    rule.operandDims = {{{0, 1}}};
    rule.resultDims = {{{0}, {1}}};
    return rule;
  }

  /// (t,h), (t,k) x (e,h,f) -> (t,f)
  static PartitionRule experts(int64_t tokens, int64_t count) {
    PartitionRule rule;
    rule.addFactor(tokens);
    rule.factors[0].role = FactorRole::Token;
    rule.addFactor(count, FactorKind::Reduce);
    rule.factors[1].role = FactorRole::Expert;
    rule.addFactor(16);
    rule.operandDims = {{{0}, {}}, {{0}, {}}, {{1}, {}, {2}}};
    rule.resultDims = {{{0}, {2}}};
    return rule;
  }

  void roundTrip(const PartitionRule &rule, const FactorSharding &strategy) {
    auto shardings = getShardings(rule, strategy, name, mesh);
    ASSERT_TRUE(succeeded(shardings));
    auto back = getStrategy(rule, shardings->in, shardings->out, mesh);
    ASSERT_TRUE(succeeded(back));
    EXPECT_EQ(*back, strategy);
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  MeshAttr mesh;
  FlatSymbolRefAttr name;
};

TEST_F(StrategyTest, ReduceFactorLeavesResultPartial) {
  auto shardings = getShardings(matmul(4, 4, 8), strategy({"", "a", "b"}), name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_EQ(text(shardings->in[0]), R"(#shd.sharding<@mesh, [{}, {"b"}]>)");
  EXPECT_EQ(text(shardings->in[1]), R"(#shd.sharding<@mesh, [{"b"}, {"a"}]>)");
  EXPECT_EQ(text(shardings->out[0]), R"(#shd.sharding<@mesh, [{}, {"a"}], unreduced=["b"] sum>)");
}

TEST_F(StrategyTest, PartialSumsPassThroughLinearOperands) {
  auto shardings = getShardings(matmul(4, 4, 8), strategy({"a", "", ""}, "b"), name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_EQ(text(shardings->in[0]), R"(#shd.sharding<@mesh, [{"a"}, {}], unreduced=["b"] sum>)");
  EXPECT_EQ(text(shardings->in[1]), R"(#shd.sharding<@mesh, [{}, {}]>)");
  EXPECT_EQ(text(shardings->out[0]), R"(#shd.sharding<@mesh, [{"a"}, {}], unreduced=["b"] sum>)");
}

TEST_F(StrategyTest, UnevenHeadsAreBlocksOfTheJoinedDimension) {
  auto shardings = getShardings(heads(6, 64), strategy({"ab", ""}), name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_EQ(text(shardings->in[0]), R"(#shd.sharding<@mesh, [{"a","b"}:64]>)");
  EXPECT_EQ(text(shardings->out[0]), R"(#shd.sharding<@mesh, [{"a","b"}, {}]>)");
  EXPECT_EQ(shardings->in[0].getLocalShape({384}, mesh), (SmallVector<int64_t>{128}));
  EXPECT_EQ(getLocalSizes(heads(6, 64), strategy({"ab", ""}), mesh), (SmallVector<int64_t>{2, 64}));
}

/// 9 heads in 3 groups over 4 devices, as the columns of a product and through a reshape.
TEST_F(StrategyTest, BlocksKeepWholeParts) {
  FactorSharding columns = strategy({"", "ab", ""});
  columns.blocks = {1, 192, 1};
  auto shardings = getShardings(matmul(4, 576, 8), columns, name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_EQ(text(shardings->out[0]), R"(#shd.sharding<@mesh, [{}, {"a","b"}:64]>)"); // the smallest of that size
  EXPECT_EQ(getLocalSizes(matmul(4, 576, 8), columns, mesh), (SmallVector<int64_t>{4, 192, 8}));
  FactorSharding parts = strategy({"a", ""});
  parts.blocks = {3, 1};
  shardings = getShardings(heads(9, 64), parts, name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_EQ(text(shardings->in[0]), R"(#shd.sharding<@mesh, [{"a"}:192]>)");
  EXPECT_EQ(text(shardings->out[0]), R"(#shd.sharding<@mesh, [{"a"}:3, {}]>)");
  parts.blocks = {2, 1}; // does not divide 9
  EXPECT_TRUE(failed(getShardings(heads(9, 64), parts, name, mesh)));
}

/// An axis that splits tokens and experts leaves no partial sums; one that splits experts alone does.
TEST_F(StrategyTest, TokensAreRoutedOverAxesOfTheExperts) {
  PartitionRule rule = experts(8, 4);
  FactorSharding routed = strategy({"b", "ab", ""});
  auto shardings = getShardings(rule, routed, name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_EQ(text(shardings->in[0]), R"(#shd.sharding<@mesh, [{"b"}, {}]>)");
  EXPECT_EQ(text(shardings->in[2]), R"(#shd.sharding<@mesh, [{"a","b"}, {}, {}]>)");
  EXPECT_EQ(text(shardings->out[0]), R"(#shd.sharding<@mesh, [{"b"}, {}], unreduced=["a"] sum>)");
  EXPECT_EQ(getRoutedAxes(rule, routed), split("b"));
  EXPECT_EQ(getLocalSizes(rule, routed, mesh), (SmallVector<int64_t>{4, 1, 16}));
  EXPECT_EQ(getWorkSizes(rule, routed, mesh), (SmallVector<int64_t>{8, 1, 16}));
  roundTrip(rule, routed);
  roundTrip(rule, strategy({"ab", "ab", ""}));
  roundTrip(rule, strategy({"ab", "ba", ""})); // any order: members of a group are counted as the experts are
  EXPECT_TRUE(getRoutedAxes(rule, strategy({"a", "b", ""})).empty());
}

TEST_F(StrategyTest, OnlyTokensShareTheMinorAxesOfTheExperts) {
  PartitionRule rule = experts(8, 4);
  EXPECT_TRUE(failed(getShardings(rule, strategy({"a", "ab", ""}), name, mesh))); // "a" is major
  EXPECT_TRUE(failed(getShardings(rule, strategy({"", "a", "a"}), name, mesh)));
  EXPECT_TRUE(failed(getShardings(rule, strategy({"a", "", "a"}), name, mesh)));
  EXPECT_TRUE(failed(getShardings(rule, strategy({"a", "a", "a"}), name, mesh)));
  EXPECT_TRUE(failed(getShardings(rule, strategy({"a", "aa", ""}), name, mesh)));
  EXPECT_TRUE(failed(getShardings(rule, strategy({"aa", "a", ""}), name, mesh)));
}

TEST_F(StrategyTest, EvenSplitsAreCanonical) {
  auto shardings = getShardings(heads(8, 64), strategy({"ab", ""}), name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_EQ(text(shardings->in[0]), R"(#shd.sharding<@mesh, [{"a","b"}]>)");
}

TEST_F(StrategyTest, AMinorFactorSplitsOnlyUnderAWhollySplitMajorOne) {
  EXPECT_TRUE(succeeded(getShardings(heads(2, 64), strategy({"a", "b"}), name, mesh)));
  EXPECT_TRUE(failed(getShardings(heads(4, 64), strategy({"a", "b"}), name, mesh)));
  EXPECT_TRUE(failed(getShardings(heads(4, 64), strategy({"", "b"}), name, mesh)));
  EXPECT_TRUE(failed(getShardings(heads(2, 5), strategy({"a", "b"}), name, mesh)));
}

TEST_F(StrategyTest, Refusals) {
  EXPECT_TRUE(failed(getShardings(matmul(4, 4, 8), strategy({"a", "a", ""}), name, mesh))); // an axis twice
  EXPECT_TRUE(failed(getShardings(matmul(4, 4, 8), strategy({"z", "", ""}), name, mesh)));  // no such axis
  PartitionRule rule = matmul(5, 4, 8);
  rule.factors[0].evenOnly = true;
  EXPECT_TRUE(failed(getShardings(rule, strategy({"a", "", ""}), name, mesh)));
  rule.factors[1].kind = FactorKind::NeedReplicate;
  EXPECT_TRUE(failed(getShardings(rule, strategy({"", "a", ""}), name, mesh)));
  rule.factors[2].minLocal = 5;
  EXPECT_TRUE(failed(getShardings(rule, strategy({"", "", "a"}), name, mesh)));
  rule = matmul(4, 4, 8);
  rule.factors[2].reduce = ReduceKind::Max; // partial under two kinds of reduction
  EXPECT_TRUE(failed(getShardings(rule, strategy({"", "", "a"}, "b"), name, mesh)));
}

TEST_F(StrategyTest, StrategiesCanBeReadBack) {
  for (const char *m : {"", "a", "b", "ab", "ba"})
    for (const char *k : {"", "a", "b"})
      if (std::string(m).find(k) == std::string::npos || !*k)
        roundTrip(matmul(8, 8, 8), strategy({m, "", k}));
  roundTrip(matmul(8, 8, 8), strategy({"a", "", ""}, "b"));
  roundTrip(heads(2, 64), strategy({"a", "b"}));
  roundTrip(heads(6, 64), strategy({"ab", ""}));
  FactorSharding blocks = strategy({"a", ""});
  blocks.blocks = {3, 1};
  roundTrip(heads(9, 64), blocks);
  FactorSharding columns = strategy({"", "ab", ""});
  columns.blocks = {1, 64, 1};
  roundTrip(matmul(4, 576, 8), columns);
}

TEST_F(StrategyTest, ShardingsOfNoStrategyAreRefused) {
  PartitionRule rule = matmul(8, 8, 8);
  auto shardings = getShardings(rule, strategy({"a", "", ""}), name, mesh);
  ASSERT_TRUE(succeeded(shardings));
  EXPECT_TRUE(failed(getStrategy(rule, shardings->in, {ShardingAttr::replicated(name, 2)}, mesh)));
  EXPECT_TRUE(failed(getStrategy(rule, shardings->in, {ShardingAttr::replicated(name, 3)}, mesh)));
}

TEST_F(StrategyTest, CanonicalKeepsTheLocalSize) {
  for (int64_t n : {1, 5, 6, 7, 8, 10, 12, 384})
    for (int64_t block = 1; block <= n; ++block) {
      if (n % block)
        continue;
      auto dim = DimShardingAttr::get(&context, split("ab"), block);
      auto sharding = ShardingAttr::get(&context, name, dim, {}, ReduceKind::Sum);
      auto canonical = sharding.canonical({n}, mesh);
      EXPECT_EQ(canonical.getLocalShape({n}, mesh), sharding.getLocalShape({n}, mesh));
      if (n / block % 4 == 0)
        EXPECT_EQ(canonical.getDims()[0].getBlock(), 1);
    }
}

} // namespace
