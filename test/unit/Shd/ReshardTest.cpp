#include "mpopt/Dialect/Shd/Reshard.h"
#include "../support/ReshardSimulator.h"
#include "mlir/IR/MLIRContext.h"
#include <gtest/gtest.h>
#include <queue>
#include <random>
#include <set>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::shd;
using mpopt::test::Array;
using mpopt::test::Devices;

namespace {

class ReshardTest : public testing::Test {
protected:
  ReshardTest() { context.loadDialect<ShdDialect>(); }

  /// Axes a, b, c, ... of these sizes.
  MeshAttr makeMesh(std::vector<int64_t> sizes) {
    SmallVector<MeshAxisAttr> axes;
    for (int64_t size : sizes)
      axes.push_back(MeshAxisAttr::get(&context, axis(axes.size()), size, 0));
    return MeshAttr::get(&context, axes);
  }
  StringAttr axis(size_t i) { return StringAttr::get(&context, std::string(1, static_cast<char>('a' + i))); }

  /// "ab|" and "c": dimensions parted by '|', unreduced axes.
  ShardingAttr makeSharding(StringRef text, StringRef unreduced = "") {
    SmallVector<DimShardingAttr> dims;
    SmallVector<StringRef> parts;
    text.split(parts, '|');
    for (StringRef part : parts)
      dims.push_back(DimShardingAttr::get(&context, axes(part), 1));
    return ShardingAttr::get(&context, name(), dims, axes(unreduced), ReduceKind::Sum);
  }
  SmallVector<StringAttr> axes(StringRef letters) {
    SmallVector<StringAttr> result;
    for (char letter : letters)
      result.push_back(StringAttr::get(&context, StringRef(&letter, 1)));
    return result;
  }
  FlatSymbolRefAttr name() { return FlatSymbolRefAttr::get(&context, "mesh"); }
  RankedTensorType type(ArrayRef<int64_t> shape) { return RankedTensorType::get(shape, Float32Type::get(&context)); }

  /// Every sharding of a tensor of this rank over the mesh.
  std::vector<ShardingAttr> allShardings(ArrayRef<int64_t> shape, MeshAttr mesh, bool withBlocks) {
    std::vector<std::pair<std::vector<std::vector<StringAttr>>, std::vector<StringAttr>>> made{
        {std::vector<std::vector<StringAttr>>(shape.size()), {}}};
    for (MeshAxisAttr meshAxis : mesh.getAxes()) {
      auto before = made;
      for (auto &[dims, unreduced] : before) {
        for (size_t d = 0; d < shape.size(); ++d)
          for (size_t position = 0; position <= dims[d].size(); ++position) {
            auto more = dims;
            more[d].insert(more[d].begin() + static_cast<std::ptrdiff_t>(position), meshAxis.getName());
            made.push_back({more, unreduced});
          }
        auto partial = unreduced;
        partial.push_back(meshAxis.getName());
        made.push_back({dims, partial});
      }
    }
    std::vector<ShardingAttr> result;
    for (auto &[dims, unreduced] : made)
      addBlocks(result, dims, unreduced, shape, mesh, withBlocks);
    return result;
  }

  void addBlocks(std::vector<ShardingAttr> &result, const std::vector<std::vector<StringAttr>> &dims,
                 const std::vector<StringAttr> &unreduced, ArrayRef<int64_t> shape, MeshAttr mesh, bool withBlocks) {
    std::vector<SmallVector<DimShardingAttr>> choices{{}};
    for (size_t d = 0; d < dims.size(); ++d) {
      std::vector<SmallVector<DimShardingAttr>> longer;
      for (int64_t block = 1; block <= (withBlocks && !dims[d].empty() ? shape[d] / 2 : 1); ++block)
        if (shape[d] % block == 0)
          for (auto choice : choices) {
            choice.push_back(DimShardingAttr::get(&context, dims[d], block));
            longer.push_back(choice);
          }
      choices = longer;
    }
    for (auto &choice : choices) {
      auto sharding = ShardingAttr::get(&context, name(), choice, unreduced, ReduceKind::Sum).canonical(shape, mesh);
      if (!llvm::is_contained(result, sharding))
        result.push_back(sharding);
    }
  }

  static Array numbers(ArrayRef<int64_t> shape) {
    Array array(std::vector<int64_t>(shape.begin(), shape.end()));
    for (size_t i = 0; i < array.data.size(); ++i)
      array.data[i] = static_cast<double>(i + 1);
    return array;
  }

  static std::string text(Attribute attr) {
    std::string result;
    llvm::raw_string_ostream(result) << attr;
    return result;
  }

  FailureOr<SmallVector<ReshardStep>> find(ShardingAttr from, ShardingAttr to, ArrayRef<int64_t> shape, MeshAttr mesh) {
    return findReshard(from, to, type(shape), mesh, [&](const ReshardStep &step, double in, double out) {
      return defaultReshardPrice(step, in, out, mesh);
    });
  }

  /// Whether the steps bring the value there, element by element.
  testing::AssertionResult works(ShardingAttr from, ShardingAttr to, ArrayRef<int64_t> shape, MeshAttr mesh) {
    auto steps = find(from, to, shape, mesh);
    auto what = [&] { return testing::AssertionFailure() << text(from) << " -> " << text(to) << ": "; };
    if (failed(steps))
      return what() << "no way";
    Array whole = numbers(shape);
    Devices devices = Devices::shard(whole, from, mesh);
    ShardingAttr now = from;
    for (const ReshardStep &step : *steps) {
      devices = devices.apply(step, now, shape);
      now = step.after;
      if (auto error = devices.differs(whole, now))
        return what() << "after step of kind " << step.kind << " to " << text(now) << ": " << *error;
    }
    if (now.canonical(shape, mesh) != to.canonical(shape, mesh))
      return what() << "ends at " << text(now);
    return testing::AssertionSuccess();
  }

  void checkAllPairs(std::vector<int64_t> sizes, ArrayRef<int64_t> shape, bool withBlocks = false, size_t sample = 0) {
    MeshAttr mesh = makeMesh(sizes);
    std::vector<ShardingAttr> all = allShardings(shape, mesh, withBlocks);
    std::mt19937 random(7);
    for (ShardingAttr from : all)
      for (ShardingAttr to : all)
        if (!sample || random() % sample == 0)
          ASSERT_TRUE(works(from, to, shape, mesh));
  }

  /// Whether the result of a step of this kind can have the shape that the sharding after it asks for; splits in equal parts.
  static bool shapesFit(const ReshardStep &step, ShardingAttr before, ArrayRef<int64_t> shape, MeshAttr mesh) {
    SmallVector<int64_t> from = before.getLocalShape(shape, mesh), to = step.after.getLocalShape(shape, mesh);
    int64_t devices = mesh.sizeOf(step.axes);
    bool joins = step.kind == ReshardStep::AllGather || step.kind == ReshardStep::AllToAll;
    for (size_t d = 0; d < from.size(); ++d) {
      bool works = static_cast<int64_t>(d) == step.dim && step.kind != ReshardStep::AllReduce &&
                   step.kind != ReshardStep::KeepFirst;
      bool splits = step.kind == ReshardStep::AllToAll ? static_cast<int64_t>(d) == step.toDim : works && !joins;
      int64_t most = works && joins ? from[d] * devices : from[d];
      if (splits ? to[d] * devices != from[d] : (works ? to[d] > most || to[d] < from[d] : to[d] != from[d]))
        return false;
    }
    return true;
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
};

TEST_F(ReshardTest, AllPairsOnOneAxis) {
  checkAllPairs({2}, {4, 3}, /*withBlocks=*/true);
  checkAllPairs({3}, {4, 6}, /*withBlocks=*/true);
}

TEST_F(ReshardTest, AllPairsOnTwoAxes) {
  checkAllPairs({2, 2}, {4, 8});
  checkAllPairs({2, 3}, {6, 12});
}

TEST_F(ReshardTest, AllPairsOnTwoAxesOfUnevenDimensions) {
  checkAllPairs({2, 2}, {5, 7}, /*withBlocks=*/true);
  checkAllPairs({2, 2}, {6, 10}, /*withBlocks=*/true, /*sample=*/2);
  checkAllPairs({2, 3}, {5, 4}, /*withBlocks=*/true);
}

TEST_F(ReshardTest, PairsOnThreeAxes) {
  checkAllPairs({2, 2, 2}, {8, 8}, false, /*sample=*/13);
  checkAllPairs({2, 2, 2}, {6, 5}, true, /*sample=*/101);
  checkAllPairs({2, 2, 2}, {8}, false);
}

TEST_F(ReshardTest, PairsOnFourAxes) { checkAllPairs({2, 2, 2, 2}, {16, 4}, false, /*sample=*/9973); }

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

/// Dijkstra over all shardings, with every step that leads from one to another found by trying, independent of the search's graph.
TEST_F(ReshardTest, CostsNoMoreThanTheBestOfAllPaths) {
  std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> cases{{{2, 2}, {4, 8}}, {{2, 3}, {6, 6}}};
  for (auto &[sizes, shape] : cases) {
    MeshAttr mesh = makeMesh(sizes);
    Array whole = numbers(shape);
    std::vector<ShardingAttr> all = allShardings(shape, mesh, false);
    std::vector<std::vector<std::pair<size_t, double>>> edges(all.size());
    auto bytes = [&](ShardingAttr sharding) {
      double total = 4;
      for (int64_t size : sharding.getLocalShape(shape, mesh))
        total *= static_cast<double>(size);
      return total;
    };
    std::vector<SmallVector<StringAttr>> groups{axes("a"), axes("b"), axes("ab"), axes("ba")};
    for (size_t i = 0; i < all.size(); ++i) {
      Devices start = Devices::shard(whole, all[i], mesh);
      for (size_t j = 0; j < all.size(); ++j) {
        double best = std::numeric_limits<double>::infinity();
        auto attempt = [&](ReshardStep step) {
          step.after = all[j];
          double price = defaultReshardPrice(step, bytes(all[i]), bytes(all[j]), mesh);
          if (price < best && shapesFit(step, all[i], shape, mesh) &&
              !start.apply(step, all[i], shape).differs(whole, all[j]))
            best = price;
        };
        for (auto &group : groups)
          for (int64_t d = 0; d < 2; ++d) {
            for (auto kind : {ReshardStep::Slice, ReshardStep::AllGather, ReshardStep::ReduceScatter})
              attempt({kind, d, 0, group, {}, {}});
            attempt({ReshardStep::AllToAll, d, 1 - d, group, {}, {}});
            attempt({ReshardStep::AllReduce, 0, 0, group, {}, {}});
            attempt({ReshardStep::KeepFirst, 0, 0, group, {}, {}});
          }
        if (best < std::numeric_limits<double>::infinity())
          edges[i].push_back({j, best});
      }
    }
    for (size_t i = 0; i < all.size(); ++i) {
      std::vector<double> least(all.size(), std::numeric_limits<double>::infinity());
      std::set<std::pair<double, size_t>> open{{least[i] = 0, i}};
      while (!open.empty()) {
        auto [cost, at] = *open.begin();
        open.erase(open.begin());
        for (auto &[next, price] : edges[at])
          if (cost + price < least[next]) {
            open.erase({least[next], next});
            open.insert({least[next] = cost + price, next});
          }
      }
      for (size_t j = 0; j < all.size(); ++j) {
        auto steps = find(all[i], all[j], shape, mesh);
        ASSERT_TRUE(succeeded(steps));
        double cost = 0;
        ShardingAttr now = all[i];
        for (const ReshardStep &step : *steps) {
          cost += defaultReshardPrice(step, bytes(now), bytes(step.after), mesh);
          now = step.after;
        }
        EXPECT_LE(cost, least[j] + 1e-9) << text(all[i]) << " -> " << text(all[j]);
      }
    }
  }
}

} // namespace
