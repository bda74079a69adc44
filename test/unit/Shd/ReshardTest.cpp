// What single reshards are made of.
#include "ReshardFixture.h"

using namespace mpopt::test;

namespace {

class ReshardTest : public ReshardFixture {};

TEST_F(ReshardTest, SwapsDimensionsByOnePermute) {
  MeshAttr mesh = makeMesh({2, 2});
  auto steps = find(makeSharding("a|b"), makeSharding("b|a"), {8, 8}, mesh);
  ASSERT_TRUE(succeeded(steps));
  ASSERT_EQ(steps->size(), 1u);
  EXPECT_EQ((*steps)[0].kind, ReshardStep::Permute);
  EXPECT_EQ((*steps)[0].sources, (SmallVector<int64_t>{0, 2, 1, 3}));
}

TEST_F(ReshardTest, SwapsOrderWithinADimensionByOnePermute) {
  auto steps = find(makeSharding("ab"), makeSharding("ba"), {8}, makeMesh({2, 2}));
  ASSERT_TRUE(succeeded(steps));
  ASSERT_EQ(steps->size(), 1u);
  EXPECT_EQ((*steps)[0].kind, ReshardStep::Permute);
}

TEST_F(ReshardTest, EndsPartialityIntoASplitByOneReduceScatter) {
  auto steps = find(makeSharding("|", "ab"), makeSharding("|ab"), {8, 8}, makeMesh({2, 2}));
  ASSERT_TRUE(succeeded(steps));
  ASSERT_EQ(steps->size(), 1u);
  EXPECT_EQ((*steps)[0].kind, ReshardStep::ReduceScatter);
}

TEST_F(ReshardTest, MovesASplitByOneAllToAll) {
  auto steps = find(makeSharding("ab|"), makeSharding("|ab"), {8, 8}, makeMesh({2, 2}));
  ASSERT_TRUE(succeeded(steps));
  ASSERT_EQ(steps->size(), 1u);
  EXPECT_EQ((*steps)[0].kind, ReshardStep::AllToAll);
}

TEST_F(ReshardTest, MakesPartialWithoutCommunication) {
  auto steps = find(makeSharding("|"), makeSharding("|a", "b"), {8, 8}, makeMesh({2, 2}));
  ASSERT_TRUE(succeeded(steps));
  for (const ReshardStep &step : *steps)
    EXPECT_TRUE(step.kind == ReshardStep::Slice || step.kind == ReshardStep::KeepFirst);
}

TEST_F(ReshardTest, IsEmptyBetweenEqualShardings) {
  auto even = ShardingAttr::get(&context, name(), DimShardingAttr::get(&context, axes("a"), 4), {}, ReduceKind::Sum);
  auto steps = find(even, makeSharding("a"), {8}, makeMesh({2}));
  ASSERT_TRUE(succeeded(steps));
  EXPECT_TRUE(steps->empty());
}

TEST_F(ReshardTest, RefusesUnknownAxesAndOtherRanks) {
  EXPECT_TRUE(failed(find(makeSharding("z"), makeSharding(""), {8}, makeMesh({2}))));
  EXPECT_TRUE(failed(find(makeSharding("a|"), makeSharding("a|"), {8}, makeMesh({2}))));
}

TEST_F(ReshardTest, EndsOneKindOfReductionBeforeAnother) {
  MeshAttr mesh = makeMesh({2, 2});
  auto max = ShardingAttr::get(&context, name(), makeSharding("").getDims(), axes("a"), ReduceKind::Max);
  auto steps = find(max, makeSharding("", "b"), {8}, mesh);
  ASSERT_TRUE(succeeded(steps));
  ASSERT_EQ(steps->size(), 2u);
  EXPECT_EQ((*steps)[0].kind, ReshardStep::AllReduce);
  EXPECT_EQ((*steps)[1].kind, ReshardStep::KeepFirst);
  EXPECT_TRUE(failed(find(makeSharding(""), max, {8}, mesh)));
}

TEST_F(ReshardTest, JoinsLargeMeshesAsRuns) {
  MeshAttr mesh = makeMesh(std::vector<int64_t>(14, 2));
  auto steps = find(makeSharding("abcdefg|hijklmn"), makeSharding("hijklmn|"), {1 << 14, 1 << 14}, mesh);
  ASSERT_TRUE(succeeded(steps));
  EXPECT_LE(steps->size(), 3u);
}

} // namespace
