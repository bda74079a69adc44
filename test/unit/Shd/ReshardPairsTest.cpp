// Every sharding to every other, element by element, on meshes of up to 8 devices and tensors of up to 4 dimensions of odd sizes.
#include "ReshardFixture.h"
#include <cstdlib>
#include <iterator>
#include <random>

using namespace mpopt::test;

namespace {

struct Case {
  std::vector<int64_t> mesh, shape;
  bool withBlocks = false;
  /// One pair in so many is tried; MPOPT_EXHAUSTIVE=1 tries all.
  unsigned oneIn = 1;

  std::string name() const {
    auto joined = [](const std::vector<int64_t> &numbers) {
      std::string text;
      for (int64_t number : numbers)
        text += (text.empty() ? "" : "x") + std::to_string(number);
      return text;
    };
    return "mesh_" + joined(mesh) + "_tensor_" + joined(shape) + (withBlocks ? "_blocks" : "");
  }
};

class ReshardPairs : public ReshardFixture, public testing::WithParamInterface<Case> {
protected:
  /// Calls `test` for the pairs of the case.
  template <typename Test> void forEachPair(ArrayRef<ShardingAttr> froms, ArrayRef<ShardingAttr> tos, Test test) {
    std::mt19937 random(7);
    bool all = std::getenv("MPOPT_EXHAUSTIVE") || GetParam().oneIn == 1;
    int64_t count = 0;
    for (ShardingAttr from : froms)
      for (ShardingAttr to : tos)
        if (all || random() % GetParam().oneIn == 0) {
          ++count;
          test(from, to);
          if (HasFatalFailure())
            return;
        }
    RecordProperty("pairs", std::to_string(count));
    EXPECT_GT(count, 0);
  }
};

TEST_P(ReshardPairs, OfSums) {
  MeshAttr mesh = makeMesh(GetParam().mesh);
  ArrayRef<int64_t> shape = GetParam().shape;
  std::vector<ShardingAttr> all = allShardings(shape, mesh, GetParam().withBlocks);
  forEachPair(all, all, [&](ShardingAttr from, ShardingAttr to) { ASSERT_TRUE(works(from, to, shape, mesh)); });
}

/// What is partial under max ends anywhere; nothing becomes partial under it.
TEST_P(ReshardPairs, OfMaxima) {
  MeshAttr mesh = makeMesh(GetParam().mesh);
  ArrayRef<int64_t> shape = GetParam().shape;
  std::vector<ShardingAttr> all = allShardings(shape, mesh, GetParam().withBlocks, ReduceKind::Max);
  auto isPartial = [](ShardingAttr sharding) { return !sharding.getUnreduced().empty(); };
  std::vector<ShardingAttr> partial;
  llvm::copy_if(all, std::back_inserter(partial), isPartial);
  forEachPair(partial, all, [&](ShardingAttr from, ShardingAttr to) {
    auto remains = [&](StringAttr axis) { return llvm::is_contained(from.getUnreduced(), axis); };
    if (llvm::all_of(to.getUnreduced(), remains))
      ASSERT_TRUE(works(from, to, shape, mesh));
    else if (succeeded(find(from, to, shape, mesh)))
      ASSERT_TRUE(works(from, to, shape, mesh));
  });
}

const Case kCases[] = {
    {{2}, {7}, true},
    {{2}, {4, 3}, true},
    {{2}, {3, 5, 7}},
    {{2}, {3, 2, 5, 3}},
    {{3}, {7}, true},
    {{3}, {4, 6}, true},
    {{3}, {3, 5, 7}},
    {{3}, {3, 2, 5, 3}},
    {{5}, {13}, true},
    {{5}, {7, 10}, true},
    {{5}, {3, 5, 7, 2}},
    {{7}, {15}, true},
    {{7}, {9, 14}, true},
    {{7}, {3, 5, 7, 2}},
    {{2, 2}, {4, 8}},
    {{2, 2}, {7}, true},
    {{2, 2}, {5, 7}, true},
    {{2, 2}, {6, 10}, true, 4},
    {{2, 2}, {3, 5, 7}},
    {{2, 2}, {3, 2, 5, 3}},
    {{2, 2}, {6, 3, 4}, true, 40},
    {{2, 3}, {6, 12}},
    {{2, 3}, {5, 4}, true},
    {{2, 3}, {3, 5, 7}},
    {{2, 3}, {3, 2, 5, 3}},
    {{2, 2, 2}, {8}},
    {{2, 2, 2}, {12}, true},
    {{2, 2, 2}, {8, 8}, false, 13},
    {{2, 2, 2}, {6, 5}, true, 101},
    {{2, 2, 2}, {5, 3, 7}, false, 23},
    {{2, 2, 2}, {3, 2, 5, 3}, false, 71},
    {{2, 2, 2, 2}, {16, 4}, false, 9973},
};
INSTANTIATE_TEST_SUITE_P(All, ReshardPairs, testing::ValuesIn(kCases),
                         [](const auto &info) { return info.param.name(); });

} // namespace
