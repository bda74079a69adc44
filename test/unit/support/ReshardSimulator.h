#ifndef MPOPT_TEST_UNIT_SUPPORT_RESHARDSIMULATOR_H
#define MPOPT_TEST_UNIT_SUPPORT_RESHARDSIMULATOR_H

#include "mpopt/Dialect/Shd/Reshard.h"
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mpopt::test {

/// A dense row-major array of doubles.
struct Array {
  std::vector<int64_t> shape;
  std::vector<double> data;

  explicit Array(std::vector<int64_t> shape = {}, double fill = 0);
  double &at(const std::vector<int64_t> &index);
  double at(const std::vector<int64_t> &index) const { return const_cast<Array *>(this)->at(index); }
  /// Calls `visit` with every index, row-major.
  template <typename Visit> void forEach(Visit visit) const {
    std::vector<int64_t> index(shape.size(), 0);
    for (size_t n = 0; n < data.size(); ++n) {
      visit(index);
      for (size_t d = shape.size(); d-- > 0 && ++index[d] == shape[d];)
        index[d] = 0;
    }
  }
};

/// A value as all devices of a mesh hold it. Contents of padding and of what a device should not count on are NaN.
class Devices {
public:
  explicit Devices(shd::MeshAttr mesh) : mesh(mesh), parts(mesh.getNumDevices()) {}

  /// `whole` under `sharding`; partial sums differ from device to device and add up to `whole`.
  static Devices shard(const Array &whole, shd::ShardingAttr sharding, shd::MeshAttr mesh);
  /// What each device holds after a step, by the definition of its collective in CollOps.td.
  Devices apply(const shd::ReshardStep &step, shd::ShardingAttr before, llvm::ArrayRef<int64_t> shape) const;
  /// An explanation when the devices do not hold `whole` under `sharding`: padding is free, partial sums must add up.
  std::optional<std::string> differs(const Array &whole, shd::ShardingAttr sharding) const;

  const std::vector<Array> &all() const { return parts; }

private:
  int64_t place(llvm::ArrayRef<mlir::StringAttr> axes, int64_t device) const;
  /// The devices of `device`'s group along `axes`, in the group's order.
  std::vector<int64_t> group(llvm::ArrayRef<mlir::StringAttr> axes, int64_t device) const;

  shd::MeshAttr mesh;
  std::vector<Array> parts;
};

} // namespace mpopt::test

#endif // MPOPT_TEST_UNIT_SUPPORT_RESHARDSIMULATOR_H
