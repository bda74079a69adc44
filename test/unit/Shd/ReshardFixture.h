#ifndef MPOPT_TEST_UNIT_SHD_RESHARDFIXTURE_H
#define MPOPT_TEST_UNIT_SHD_RESHARDFIXTURE_H

#include "../support/ReshardSimulator.h"
#include "mlir/IR/MLIRContext.h"
#include "mpopt/Dialect/Shd/Reshard.h"
#include <gtest/gtest.h>

namespace mpopt::test {

using namespace mlir;
using namespace mpopt::shd;

/// Makes meshes, shardings and reshards.
class ReshardFixture : public testing::Test {
protected:
  ReshardFixture() { context.loadDialect<ShdDialect>(); }

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
  std::vector<ShardingAttr> allShardings(ArrayRef<int64_t> shape, MeshAttr mesh, bool withBlocks,
                                         ReduceKind reduce = ReduceKind::Sum) {
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
      addBlocks(result, dims, unreduced, shape, mesh, withBlocks, reduce);
    return result;
  }

  void addBlocks(std::vector<ShardingAttr> &result, const std::vector<std::vector<StringAttr>> &dims,
                 const std::vector<StringAttr> &unreduced, ArrayRef<int64_t> shape, MeshAttr mesh, bool withBlocks,
                 ReduceKind reduce) {
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
      auto sharding =
          ShardingAttr::get(&context, name(), choice, unreduced, unreduced.empty() ? ReduceKind::Sum : reduce)
              .canonical(shape, mesh);
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

  MLIRContext context{MLIRContext::Threading::DISABLED};
};

} // namespace mpopt::test

#endif // MPOPT_TEST_UNIT_SHD_RESHARDFIXTURE_H
