// How a value gets from one mesh to another.
#include "mpopt/Dialect/Coll/Coll.h"

#include "mlir/IR/Builders.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt;

namespace {

class PiecesTest : public testing::Test {
protected:
  PiecesTest() { context.loadDialect<shd::ShdDialect>(); }

  /// A mesh of axes "x0", "x1", ... of those sizes.
  shd::MeshAttr mesh(ArrayRef<int64_t> sizes) {
    SmallVector<shd::MeshAxisAttr> axes;
    for (auto [number, size] : llvm::enumerate(sizes))
      axes.push_back(shd::MeshAxisAttr::get(&context, name(number), size, 0));
    return shd::MeshAttr::get(&context, axes);
  }

  StringAttr name(size_t axis) { return StringAttr::get(&context, "x" + Twine(axis)); }

  /// Every way to split two dimensions over the axes of a mesh, one of them perhaps in blocks of three.
  SmallVector<coll::Spread> spreads(shd::MeshAttr mesh) {
    SmallVector<coll::Spread> result;
    size_t ways = 1;
    for (size_t axis = 0; axis < mesh.getAxes().size(); ++axis)
      ways *= 3; // first dimension, second, neither
    for (size_t way = 0; way < ways; ++way)
      for (int64_t block : {1, 3}) {
        SmallVector<SmallVector<StringAttr>> axes(2);
        for (size_t axis = 0, rest = way; axis < mesh.getAxes().size(); ++axis, rest /= 3)
          if (rest % 3 < 2)
            axes[rest % 3].push_back(name(axis));
        SmallVector<shd::DimShardingAttr> dims = {shd::DimShardingAttr::get(&context, axes[0], 1),
                                                  shd::DimShardingAttr::get(&context, axes[1], block)};
        result.push_back(
            {shd::ShardingAttr::get(&context, FlatSymbolRefAttr::get(&context, "mesh"), dims, {}, shd::ReduceKind::Sum),
             mesh});
      }
    return result;
  }

  /// Sends a value whose elements are all different by pieces, and counts what is not right then.
  static int64_t wrongElements(RankedTensorType type, coll::Spread from, coll::Spread to) {
    int64_t columns = type.getDimSize(1), wrong = 0;
    SmallVector<coll::Piece> pieces = coll::getPieces(type, from, to);
    for (int64_t device = 0; device < to.mesh.getNumDevices(); ++device) {
      auto [start, size] = coll::getBox(type, to, device);
      std::map<std::pair<int64_t, int64_t>, int64_t> got; // by place in the local value
      for (const coll::Piece &piece : pieces) {
        if (piece.to != device)
          continue;
        auto source = coll::getBox(type, from, piece.from);
        for (int64_t row = 0; row < piece.size[0]; ++row)
          for (int64_t column = 0; column < piece.size[1]; ++column) {
            int64_t i = piece.source[0] + row, j = piece.source[1] + column;
            wrong += i >= source.second[0] || j >= source.second[1]; // beyond what the sender holds
            wrong += !got.try_emplace({piece.target[0] + row, piece.target[1] + column},
                                      (source.first[0] + i) * columns + source.first[1] + j)
                          .second;
          }
      }
      wrong += static_cast<int64_t>(got.size()) != size[0] * size[1];
      for (auto [place, value] : got)
        wrong += value != (start[0] + place.first) * columns + start[1] + place.second;
    }
    return wrong;
  }

  MLIRContext context;
};

using Sizes = std::vector<int64_t>;

TEST_F(PiecesTest, everyDeviceGetsExactlyWhatItHolds) {
  for (const Sizes &shape : {Sizes{6, 12}, {5, 9}, {1, 3}}) {
    auto type = RankedTensorType::get(shape, Float32Type::get(&context));
    for (const Sizes &one : {Sizes{}, {3}, {2, 2}})
      for (const Sizes &other : {Sizes{}, {5}, {3, 2}})
        for (coll::Spread from : spreads(mesh(one)))
          for (coll::Spread to : spreads(mesh(other)))
            ASSERT_EQ(wrongElements(type, from, to), 0) << shape[0] << "x" << shape[1];
  }
}

TEST_F(PiecesTest, replicasShareTheWork) {
  auto type = RankedTensorType::get({4, 4}, Float32Type::get(&context));
  coll::Spread whole = spreads(mesh({2}))[4]; // neither dimension
  ASSERT_TRUE(whole.sharding.isReplicated());
  std::map<int64_t, int64_t> sends;
  for (const coll::Piece &piece : coll::getPieces(type, whole, spreads(mesh({2, 2})).back()))
    ++sends[piece.from];
  EXPECT_EQ(sends, (std::map<int64_t, int64_t>{{0, 2}, {1, 2}}));
}

} // namespace
