#include "ReshardSimulator.h"
#include <cmath>
#include <limits>
#include <sstream>

using namespace mpopt;
using namespace mpopt::test;
using mpopt::shd::ReduceKind;
using mpopt::shd::ReshardStep;
using mpopt::shd::ShardingAttr;

static constexpr double kPadding = std::numeric_limits<double>::quiet_NaN();

Array::Array(std::vector<int64_t> shape, double fill) : shape(std::move(shape)) {
  size_t size = 1;
  for (int64_t n : this->shape)
    size *= static_cast<size_t>(n);
  data.assign(size, fill);
}

double &Array::at(const std::vector<int64_t> &index) {
  size_t offset = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    offset = offset * static_cast<size_t>(shape[d]) + static_cast<size_t>(index[d]);
  return data.at(offset);
}

int64_t Devices::place(llvm::ArrayRef<mlir::StringAttr> axes, int64_t device) const {
  int64_t place = 0;
  for (mlir::StringAttr name : axes) {
    int64_t minor = 1;
    for (shd::MeshAxisAttr axis : mesh.getAxes().drop_front(mesh.indexOf(name) + 1))
      minor *= axis.getSize();
    int64_t size = mesh.find(name).getSize();
    place = place * size + device / minor % size;
  }
  return place;
}

std::vector<int64_t> Devices::group(llvm::ArrayRef<mlir::StringAttr> axes, int64_t device) const {
  llvm::SmallVector<mlir::StringAttr> rest;
  for (shd::MeshAxisAttr axis : mesh.getAxes())
    if (!llvm::is_contained(axes, axis.getName()))
      rest.push_back(axis.getName());
  std::vector<int64_t> group(mesh.sizeOf(axes));
  for (int64_t other = 0; other < mesh.getNumDevices(); ++other)
    if (place(rest, other) == place(rest, device))
      group[place(axes, other)] = other;
  return group;
}

static std::vector<int64_t> localShape(ShardingAttr sharding, llvm::ArrayRef<int64_t> shape, shd::MeshAttr mesh) {
  llvm::SmallVector<int64_t> local = sharding.getLocalShape(shape, mesh);
  return {local.begin(), local.end()};
}

/// The element of the whole that a device holds at a local index; none in padding.
static std::optional<std::vector<int64_t>> globalIndex(const std::vector<int64_t> &index,
                                                       const std::vector<int64_t> &places,
                                                       const std::vector<int64_t> &local,
                                                       const std::vector<int64_t> &whole) {
  std::vector<int64_t> global(index);
  for (size_t d = 0; d < index.size(); ++d) {
    global[d] += places[d] * local[d];
    if (global[d] >= whole[d])
      return std::nullopt;
  }
  return global;
}

/// What the device of that rank, out of `count`, holds of a value under reduction.
static double partial(double value, int64_t rank, int64_t count, ReduceKind kind) {
  auto number = static_cast<double>(rank + 1), all = static_cast<double>(count);
  if (count == 1)
    return value;
  if (kind != ReduceKind::Sum) // all but one lose
    return rank == static_cast<int64_t>(value) % count ? value
                                                       : value + (kind == ReduceKind::Max ? -1000 : 1000) * number;
  // Unequal addends of integers, so that sums are exact: 1000 * rank, less all of them on the last.
  return rank + 1 < count ? 1000.0 * number : value - 500.0 * (all - 1) * all;
}

static double combine(double a, double b, ReduceKind kind) {
  return kind == ReduceKind::Sum ? a + b : kind == ReduceKind::Max ? std::max(a, b) : std::min(a, b);
}

Devices Devices::shard(const Array &whole, ShardingAttr sharding, shd::MeshAttr mesh) {
  Devices devices(mesh);
  std::vector<int64_t> local = localShape(sharding, whole.shape, mesh);
  int64_t count = mesh.sizeOf(sharding.getUnreduced());
  for (int64_t device = 0; device < mesh.getNumDevices(); ++device) {
    std::vector<int64_t> places;
    for (shd::DimShardingAttr dim : sharding.getDims())
      places.push_back(devices.place(dim.getAxes(), device));
    int64_t rank = devices.place(sharding.getUnreduced(), device);
    Array part(local, kPadding);
    part.forEach([&](const std::vector<int64_t> &index) {
      if (auto global = globalIndex(index, places, local, whole.shape))
        part.at(index) = partial(whole.at(*global), rank, count, sharding.getReduce());
    });
    devices.parts[device] = part;
  }
  return devices;
}

std::optional<std::string> Devices::differs(const Array &whole, ShardingAttr sharding) const {
  std::vector<int64_t> local = localShape(sharding, whole.shape, mesh);
  for (int64_t device = 0; device < mesh.getNumDevices(); ++device) {
    std::vector<int64_t> places, sum = group(sharding.getUnreduced(), device);
    for (shd::DimShardingAttr dim : sharding.getDims())
      places.push_back(place(dim.getAxes(), device));
    if (parts[device].shape != local)
      return "device " + std::to_string(device) + " holds another shape";
    std::optional<std::string> error;
    parts[device].forEach([&](const std::vector<int64_t> &index) {
      auto global = globalIndex(index, places, local, whole.shape);
      if (!global || error)
        return;
      double total = parts[sum[0]].at(index);
      for (int64_t other : llvm::ArrayRef(sum).drop_front())
        total = combine(total, parts[other].at(index), sharding.getReduce());
      if (total == whole.at(*global))
        return;
      std::ostringstream os;
      os << "device " << device << " holds " << total << " for " << whole.at(*global) << " at local index";
      for (int64_t i : index)
        os << ' ' << i;
      error = os.str();
    });
    if (error)
      return error;
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// Block `i` of dimension `dim`, of `size` elements, `fill` past the end.
static Array block(const Array &array, int64_t dim, int64_t i, int64_t size, double fill) {
  std::vector<int64_t> shape = array.shape;
  shape[dim] = size;
  Array part(shape, fill);
  part.forEach([&](std::vector<int64_t> index) {
    std::vector<int64_t> from = index;
    from[dim] += i * size;
    if (from[dim] < array.shape[dim])
      part.at(index) = array.at(from);
  });
  return part;
}

/// Parts one after the other along `dim`, cropped to `size`.
static Array concat(const std::vector<Array> &parts, int64_t dim, int64_t size) {
  std::vector<int64_t> shape = parts[0].shape;
  int64_t each = shape[dim];
  shape[dim] = size;
  Array whole(shape);
  whole.forEach([&](std::vector<int64_t> index) {
    std::vector<int64_t> from = index;
    from[dim] %= each;
    whole.at(index) = parts.at(index[dim] / each).at(from);
  });
  return whole;
}

static Array reduce(const std::vector<Array> &parts, ReduceKind kind) {
  Array result = parts[0];
  for (const Array &part : llvm::ArrayRef(parts).drop_front())
    for (size_t i = 0; i < result.data.size(); ++i)
      result.data[i] = combine(result.data[i], part.data[i], kind);
  return result;
}

Devices Devices::apply(const ReshardStep &step, ShardingAttr before, llvm::ArrayRef<int64_t> shape) const {
  Devices next(mesh);
  std::vector<int64_t> local = localShape(step.after, shape, mesh);
  for (int64_t device = 0; device < mesh.getNumDevices(); ++device) {
    std::vector<int64_t> members = group(step.axes, device);
    int64_t me = place(step.axes, device);
    std::vector<Array> inputs;
    for (int64_t member : members)
      inputs.push_back(parts[member]);
    Array &result = next.parts[device];
    switch (step.kind) {
    case ReshardStep::Slice:
      result = block(parts[device], step.dim, me, local[step.dim], 0);
      break;
    case ReshardStep::KeepFirst:
      result = me == 0 ? parts[device] : Array(parts[device].shape);
      break;
    case ReshardStep::AllGather:
      result = concat(inputs, step.dim, local[step.dim]);
      break;
    case ReshardStep::AllReduce:
      result = reduce(inputs, before.getReduce());
      break;
    case ReshardStep::ReduceScatter:
      result = block(reduce(inputs, before.getReduce()), step.dim, me, local[step.dim], 0);
      break;
    case ReshardStep::AllToAll: {
      std::vector<Array> blocks;
      for (const Array &input : inputs)
        blocks.push_back(block(input, step.toDim, me, local[step.toDim], 0));
      result = concat(blocks, step.dim, local[step.dim]);
      break;
    }
    case ReshardStep::Permute:
      result = inputs.at(step.sources[me]);
      break;
    }
  }
  return next;
}
