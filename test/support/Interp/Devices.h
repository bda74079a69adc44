#ifndef MPOPT_TEST_SUPPORT_INTERP_DEVICES_H
#define MPOPT_TEST_SUPPORT_INTERP_DEVICES_H

#include "Tensor.h"
#include "mpopt/Dialect/Shd/Shd.h"

namespace mpopt::interp {

/// Groups of devices that differ only along `axes`, each ordered by the row-major index along them. Written apart from coll::getGroups,
/// so that the two check each other.
class Groups {
public:
  Groups(shd::MeshAttr mesh, llvm::ArrayRef<mlir::StringAttr> axes);

  int64_t count() const { return static_cast<int64_t>(members.size()); }
  llvm::ArrayRef<int64_t> group(int64_t g) const { return members[g]; }
  /// Place of a device in its group, and its group.
  int64_t place(int64_t device) const { return places[device]; }
  llvm::ArrayRef<int64_t> groupOf(int64_t device) const { return members[homes[device]]; }

private:
  std::vector<std::vector<int64_t>> members;
  std::vector<int64_t> places, homes;
};

/// One device's part per device, of a global value; what lies past its end is poison. Partial values are made of parts that
/// differ from device to device and reduce to the value.
std::vector<Tensor> cutValue(const Tensor &value, shd::ShardingAttr sharding, shd::MeshAttr mesh);

/// The global value that the devices' parts make. `problem` says where two devices hold different values for one element.
Tensor joinValue(llvm::ArrayRef<Tensor> parts, mlir::RankedTensorType global, shd::ShardingAttr sharding,
                 shd::MeshAttr mesh, std::string &problem);

} // namespace mpopt::interp

#endif // MPOPT_TEST_SUPPORT_INTERP_DEVICES_H
