#include "Devices.h"
#include "Reduce.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

/// Index of a device along every axis of the mesh.
static SmallVector<int64_t> coordinates(shd::MeshAttr mesh, int64_t device) {
  SmallVector<int64_t> at(mesh.getAxes().size());
  for (int64_t i = static_cast<int64_t>(at.size()) - 1; i >= 0; --i) {
    at[i] = device % mesh.getAxes()[i].getSize();
    device /= mesh.getAxes()[i].getSize();
  }
  return at;
}

static int64_t countDevices(shd::MeshAttr mesh) {
  int64_t count = 1;
  for (shd::MeshAxisAttr axis : mesh.getAxes())
    count *= axis.getSize();
  return count;
}

/// Row-major index of a device along the named axes; `size` gets the number of such indices.
static int64_t indexAlong(shd::MeshAttr mesh, ArrayRef<StringAttr> axes, int64_t device, int64_t &size) {
  SmallVector<int64_t> at = coordinates(mesh, device);
  int64_t index = 0;
  size = 1;
  for (StringAttr name : axes)
    for (auto [i, axis] : llvm::enumerate(mesh.getAxes()))
      if (axis.getName() == name) {
        index = index * axis.getSize() + at[i];
        size *= axis.getSize();
      }
  return index;
}

Groups::Groups(shd::MeshAttr mesh, ArrayRef<StringAttr> axes) {
  SmallVector<StringAttr> others;
  for (shd::MeshAxisAttr axis : mesh.getAxes())
    if (!llvm::is_contained(axes, axis.getName()))
      others.push_back(axis.getName());
  int64_t devices = countDevices(mesh), size, groups;
  for (int64_t device = 0; device < devices; ++device) {
    places.push_back(indexAlong(mesh, axes, device, size));
    homes.push_back(indexAlong(mesh, others, device, groups));
  }
  members.assign(groups, std::vector<int64_t>(size));
  for (int64_t device = 0; device < devices; ++device)
    members[homes[device]][places[device]] = device;
}

namespace {

/// Where a device's part of a value lies.
struct Place {
  SmallVector<int64_t> begin, shape;

  Place(ArrayRef<int64_t> global, shd::ShardingAttr sharding, shd::MeshAttr mesh, int64_t device) {
    for (auto [size, dim] : llvm::zip(global, sharding.getDims())) {
      int64_t parts, index = indexAlong(mesh, dim.getAxes(), device, parts), block = dim.getBlock();
      int64_t local = parts == 1 ? size : (size / block + parts - 1) / parts * block;
      begin.push_back(index * local);
      shape.push_back(local);
    }
  }
};

/// Device number `place` of a group of partial values holds 3, -2 and 0, 0, .. times the value (sum); the value and then
/// something that does not matter to the reduction (others).
void makePartial(Tensor &part, shd::ReduceKind kind, int64_t place) {
  for (int64_t i = 0; i < part.size(); ++i) {
    double value = part.number(i);
    switch (kind) {
    case shd::ReduceKind::Sum:
      part.setNumber(i, place == 0 ? 3 * value : place == 1 ? -2 * value : 0);
      break;
    case shd::ReduceKind::Prod:
      part.setNumber(i, place == 0 ? value : 1);
      break;
    default:
      part.setNumber(i, place == 0 ? value : identityOf(kind));
    }
  }
}

} // namespace

std::vector<Tensor> mpopt::interp::cutValue(const Tensor &value, shd::ShardingAttr sharding, shd::MeshAttr mesh) {
  std::vector<Tensor> parts;
  for (int64_t device = 0; device < countDevices(mesh); ++device) {
    Place place(value.shape, sharding, mesh, device);
    Tensor &part = parts.emplace_back(Tensor::zeros(value.element, place.shape));
    forEachIndex(place.shape, [&](ArrayRef<int64_t> index, int64_t i) {
      SmallVector<int64_t> at;
      bool inside = true;
      for (auto [begin, local, size] : llvm::zip(place.begin, index, value.shape)) {
        at.push_back(begin + local);
        inside &= at.back() < size;
      }
      if (inside)
        part.copy(i, value, value.at(at));
      else
        part.poison(i);
    });
    int64_t group;
    if (int64_t index = indexAlong(mesh, sharding.getUnreduced(), device, group); group > 1)
      makePartial(part, sharding.getReduce(), index);
    part.round(true);
  }
  return parts;
}

Tensor mpopt::interp::joinValue(ArrayRef<Tensor> parts, RankedTensorType global, shd::ShardingAttr sharding,
                                shd::MeshAttr mesh, std::string &problem) {
  Tensor value = Tensor::zeros(global);
  std::vector<bool> written(value.size());
  Groups groups(mesh, sharding.getUnreduced());
  for (int64_t g = 0; g < groups.count(); ++g) {
    int64_t first = groups.group(g).front();
    Tensor part = parts[first];
    for (int64_t other : groups.group(g).drop_front())
      for (int64_t i = 0; i < part.size(); ++i)
        reduceInto(sharding.getReduce(), part, i, parts[other], i);
    part.round(true);
    Place place(value.shape, sharding, mesh, first);
    if (ArrayRef(place.shape) != ArrayRef(part.shape)) {
      problem = "an output's local shape is not what its sharding says";
      return value;
    }
    Tensor before = value;
    forEachIndex(place.shape, [&](ArrayRef<int64_t> index, int64_t i) {
      SmallVector<int64_t> at;
      bool inside = true;
      for (auto [begin, local, size] : llvm::zip(place.begin, index, value.shape)) {
        at.push_back(begin + local);
        inside &= at.back() < size;
      }
      if (!inside)
        return;
      int64_t j = value.at(at);
      value.copy(j, part, i);
      if (!written[j])
        before.copy(j, part, i);
      written[j] = true;
    });
    if (std::string difference = firstDifference(before, value, 1e-9); problem.empty() && !difference.empty())
      problem = "device " + std::to_string(first) + " holds another value than its replicas: " + difference;
  }
  if (problem.empty() && llvm::is_contained(written, false))
    problem = "no device holds some element of an output";
  return value;
}
