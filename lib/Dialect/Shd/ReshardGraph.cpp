#include "ReshardGraph.h"
#include "mpopt/Dialect/Shd/Blocks.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <unordered_map>

using namespace mlir;
using namespace mpopt::shd;

using Run = SmallVector<StringAttr, 2>;

//===----------------------------------------------------------------------===//
// What matters
//===----------------------------------------------------------------------===//

namespace {

/// Where a sharding has an axis: place 0 when nowhere, 1 in unreduced, 2 + d in dimension d.
struct Place {
  int64_t place = 0, position = 0;
  bool operator==(const Place &) const = default;
};

Place placeOf(ShardingAttr sharding, StringAttr axis) {
  if (llvm::is_contained(sharding.getUnreduced(), axis))
    return {1, 0};
  for (auto [d, dim] : llvm::enumerate(sharding.getDims()))
    for (auto [p, other] : llvm::enumerate(dim.getAxes()))
      if (other == axis)
        return {static_cast<int64_t>(d) + 2, static_cast<int64_t>(p)};
  return {};
}

/// Whether `b` follows `a` at once in a dimension, or both are in no dimension, where order means nothing.
bool together(ShardingAttr sharding, StringAttr a, StringAttr b) {
  Place first = placeOf(sharding, a), second = placeOf(sharding, b);
  return first.place == second.place && (first.place < 2 || first.position + 1 == second.position);
}

/// Axes of both shardings, those of one dimension of `to` (then `from`) next to each other.
llvm::SmallSetVector<StringAttr, 8> axesOf(ShardingAttr from, ShardingAttr to) {
  llvm::SmallSetVector<StringAttr, 8> axes;
  for (ShardingAttr sharding : {to, from})
    for (DimShardingAttr dim : sharding.getDims())
      axes.insert(dim.getAxes().begin(), dim.getAxes().end());
  for (ShardingAttr sharding : {to, from})
    axes.insert(sharding.getUnreduced().begin(), sharding.getUnreduced().end());
  return axes;
}

} // namespace

ReshardGraph::ReshardGraph(ShardingAttr from, ShardingAttr to, RankedTensorType type, MeshAttr mesh)
    : from(from), to(to), type(type), mesh(mesh),
      reduce(from.getUnreduced().empty() ? to.getReduce() : from.getReduce()) {
  findAxes();
  findDims();
  if (!fitting)
    return;
  State end = goal();
  for (unsigned d = 0; d < dimNumbers.size(); ++d)
    for (uint8_t axis : end.dims[d])
      splitInGoal |= 1u << axis;
  unreducedInGoal = end.unreduced;
}

void ReshardGraph::findAxes() {
  llvm::SmallSetVector<StringAttr, 8> axes = axesOf(from, to);
  // Runs that stay together count as one axis; a few axes are kept apart, so that steps over a part of them are found.
  bool fuse = axes.size() > 3;
  for (StringAttr axis : axes) {
    if (fuse && !axisNames.empty() && together(from, axisNames.back().back(), axis) &&
        together(to, axisNames.back().back(), axis))
      axisNames.back().push_back(axis);
    else
      axisNames.push_back({axis});
  }
  fitting &= axisNames.size() <= kMaxAxes;
  for (const Run &run : axisNames)
    axisSizes.push_back(mesh.sizeOf(run));
}

void ReshardGraph::findDims() {
  int64_t devices = 1, spare = -1;
  for (int64_t size : axisSizes)
    devices *= size;
  bool uneven = false;
  elementBytes = std::max(1u, type.getElementTypeBitWidth() / 8);
  for (auto [d, size] : llvm::enumerate(type.getShape())) {
    DimShardingAttr a = from.getDims()[d], b = to.getDims()[d];
    if (a.getAxes().empty() && b.getAxes().empty()) {
      auto worth = [&](int64_t of) { return std::make_pair(of % devices == 0, of); };
      if (size > 1 && (spare < 0 || worth(size) > worth(type.getDimSize(spare))))
        spare = static_cast<int64_t>(d);
      continue;
    }
    dimNumbers.push_back(static_cast<int64_t>(d));
    uneven |= size % devices != 0;
  }
  // An uneven split cannot always be changed in place; another dimension, if possible one that splits evenly, serves as a detour.
  if (uneven && spare >= 0)
    dimNumbers.push_back(spare);
  fitting &= dimNumbers.size() <= kMaxDims;
  for (auto [d, size] : llvm::enumerate(type.getShape()))
    if (!llvm::is_contained(dimNumbers, static_cast<int64_t>(d)))
      elementBytes *= static_cast<double>(size);
  for (int64_t d : dimNumbers) {
    blocks.push_back({1});
    for (int64_t block : {from.getDims()[d].getBlock(), to.getDims()[d].getBlock()})
      if (!llvm::is_contained(blocks.back(), block))
        blocks.back().push_back(block);
  }
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

ReshardGraph::State ReshardGraph::makeState(ShardingAttr sharding) const {
  State state;
  SmallVector<int64_t> local = sharding.getLocalShape(type.getShape(), mesh);
  for (auto [d, number] : llvm::enumerate(dimNumbers)) {
    for (StringAttr axis : sharding.getDims()[number].getAxes())
      for (auto [i, run] : llvm::enumerate(axisNames))
        if (run.front() == axis)
          state.dims[d].push_back(static_cast<uint8_t>(i));
    state.sizes[d] = local[number];
  }
  for (auto [i, run] : llvm::enumerate(axisNames))
    if (llvm::is_contained(sharding.getUnreduced(), run.front()))
      state.unreduced |= 1u << i;
  return state;
}

// Six bits per axis (three of place: 0 free, 1 unreduced, 2 + d; three of position), then four per dimension's size.
std::optional<uint64_t> ReshardGraph::pack(const State &state) {
  uint64_t key = 0;
  for (unsigned i = 0; i < axisNames.size(); ++i)
    if (state.unreduced >> i & 1)
      key |= uint64_t(1) << (6 * i);
  for (unsigned d = 0; d < dimNumbers.size(); ++d) {
    for (auto [p, axis] : llvm::enumerate(state.dims[d]))
      key |= (uint64_t(d + 2) | uint64_t(p) << 3) << (6 * axis);
    auto *found = llvm::find(sizeTable[d], state.sizes[d]);
    uint64_t index = found - sizeTable[d].begin();
    if (found == sizeTable[d].end()) {
      if (sizeTable[d].size() == kMaxSizes)
        return std::nullopt;
      sizeTable[d].push_back(state.sizes[d]);
    }
    key |= index << (6 * kMaxAxes + 4 * d);
  }
  return key;
}

ReshardGraph::State ReshardGraph::unpack(uint64_t key) const {
  State state;
  for (unsigned i = 0; i < axisNames.size(); ++i) {
    unsigned place = key >> (6 * i) & 7, position = key >> (6 * i + 3) & 7;
    if (place == 1)
      state.unreduced |= 1u << i;
    if (place < 2)
      continue;
    Axes &dim = state.dims[place - 2];
    if (dim.size() <= position)
      dim.resize(position + 1);
    dim[position] = static_cast<uint8_t>(i);
  }
  for (unsigned d = 0; d < dimNumbers.size(); ++d)
    state.sizes[d] = sizeTable[d][key >> (6 * kMaxAxes + 4 * d) & 15];
  return state;
}

double ReshardGraph::bytes(const State &state) const {
  double total = elementBytes;
  for (unsigned d = 0; d < dimNumbers.size(); ++d)
    total *= static_cast<double>(state.sizes[d]);
  return total;
}

int64_t ReshardGraph::sizeOf(ArrayRef<uint8_t> axes) const {
  int64_t size = 1;
  for (uint8_t axis : axes)
    size *= axisSizes[axis];
  return size;
}

uint8_t ReshardGraph::free(const State &state) const {
  uint8_t used = state.unreduced;
  for (const Axes &dim : state.dims)
    for (uint8_t axis : dim)
      used |= 1u << axis;
  return ~used & ((1u << axisNames.size()) - 1);
}

int64_t ReshardGraph::blockFor(unsigned dim, int64_t local, int64_t devices) const {
  return blockThatGives(type.getDimSize(dimNumbers[dim]), local, devices).value_or(0);
}

SmallVector<int64_t, 3> ReshardGraph::usefulSizes(unsigned dim, int64_t devices) const {
  int64_t n = type.getDimSize(dimNumbers[dim]);
  SmallVector<int64_t, 3> sizes;
  for (int64_t block : blocks[dim]) {
    int64_t size = llvm::divideCeilSigned(n / block, devices) * block;
    if (!llvm::is_contained(sizes, size))
      sizes.push_back(size);
  }
  return sizes;
}

//===----------------------------------------------------------------------===//
// As attributes
//===----------------------------------------------------------------------===//

SmallVector<StringAttr> ReshardGraph::expand(ArrayRef<uint8_t> axes) const {
  SmallVector<StringAttr> names;
  for (uint8_t axis : axes)
    llvm::append_range(names, axisNames[axis]);
  return names;
}

ShardingAttr ReshardGraph::sharding(const State &state) {
  MLIRContext *context = mesh.getContext();
  SmallVector<DimShardingAttr> dims(type.getRank(), DimShardingAttr::get(context, {}, 1));
  for (auto [d, number] : llvm::enumerate(dimNumbers))
    if (!state.dims[d].empty())
      dims[number] =
          DimShardingAttr::get(context, expand(state.dims[d]), blockFor(d, state.sizes[d], sizeOf(state.dims[d])));
  Axes unreduced;
  for (uint8_t axis = 0; axis < axisNames.size(); ++axis)
    if (state.unreduced >> axis & 1)
      unreduced.push_back(axis);
  return ShardingAttr::get(context, from.getMesh(), dims, expand(unreduced), reduce).canonical(type.getShape(), mesh);
}

namespace {

/// An axis's part in a device's place: which dimension (or unreduced, or none) it counts for, and with what weight.
struct Digit {
  int64_t place, weight;
  bool operator==(const Digit &) const = default;
};

std::vector<Digit> digitsOf(ShardingAttr sharding, ArrayRef<StringAttr> axes, MeshAttr mesh) {
  std::vector<Digit> digits;
  int64_t freeWeight = 1; // any numbering of free axes will do, so long as it is one
  for (StringAttr axis : axes) {
    Place place = placeOf(sharding, axis);
    if (place.place == 0) {
      digits.push_back({0, freeWeight});
      freeWeight *= mesh.sizeOf(axis);
      continue;
    }
    ArrayRef<StringAttr> list =
        place.place == 1 ? sharding.getUnreduced() : sharding.getDims()[place.place - 2].getAxes();
    digits.push_back({place.place, mesh.sizeOf(list.drop_front(llvm::find(list, axis) - list.begin() + 1))});
  }
  return digits;
}

} // namespace

ReshardGraph::Axes ReshardGraph::movedAxes(const State &before, const State &after) const {
  // Place and weight of each axis.
  auto digits = [&](const State &state) {
    std::array<std::pair<int64_t, int64_t>, kMaxAxes> result{};
    for (unsigned d = 0; d < dimNumbers.size(); ++d) {
      int64_t weight = 1;
      for (uint8_t axis : llvm::reverse(state.dims[d])) {
        result[axis] = {d + 2, weight};
        weight *= axisSizes[axis];
      }
    }
    for (unsigned axis = 0; axis < axisNames.size(); ++axis)
      if (state.unreduced >> axis & 1)
        result[axis] = {1, 0};
    return result;
  };
  auto was = digits(before), is = digits(after);
  Axes moved;
  for (uint8_t axis = 0; axis < axisNames.size(); ++axis)
    if (was[axis] != is[axis])
      moved.push_back(axis);
  return moved;
}

SmallVector<StringAttr> ReshardGraph::permutedAxes(ShardingAttr old, ShardingAttr fresh) const {
  SmallVector<StringAttr> all, moved;
  llvm::SmallSetVector<StringAttr, 8> used = axesOf(old, fresh);
  for (MeshAxisAttr axis : mesh.getAxes())
    if (used.contains(axis.getName()))
      all.push_back(axis.getName());
  // Axes whose digit means the same before and after take no part.
  for (auto [axis, was, is] : llvm::zip(all, digitsOf(old, all, mesh), digitsOf(fresh, all, mesh)))
    if (!(was == is))
      moved.push_back(axis);
  return moved;
}

SmallVector<int64_t> ReshardGraph::permutationOf(ShardingAttr old, ShardingAttr fresh,
                                                 ArrayRef<StringAttr> axes) const {
  std::vector<Digit> was = digitsOf(old, axes, mesh), is = digitsOf(fresh, axes, mesh);
  int64_t devices = mesh.sizeOf(axes);
  // A device's code says which part it holds: its parts in all places in one number, mixed radix.
  std::map<int64_t, int64_t> scales;
  for (const std::vector<Digit> &digits : {was, is}) {
    std::map<int64_t, int64_t> ranges;
    for (auto [digit, axis] : llvm::zip(digits, axes))
      ranges.emplace(digit.place, 1).first->second += (mesh.sizeOf(axis) - 1) * digit.weight;
    for (auto [place, range] : ranges)
      scales[place] = std::max(scales[place], range);
  }
  int64_t scale = 1;
  for (auto &[place, range] : scales)
    range = std::exchange(scale, scale * range);
  auto codes = [&](ArrayRef<Digit> digits) {
    SmallVector<int64_t> steps, sizes, result(devices, 0);
    for (auto [digit, axis] : llvm::zip(digits, axes)) {
      steps.push_back(digit.weight * scales[digit.place]);
      sizes.push_back(mesh.sizeOf(axis));
    }
    for (int64_t device = 0; device < devices; ++device)
      for (int64_t i = static_cast<int64_t>(axes.size()), rest = device; i-- > 0; rest /= sizes[i])
        result[device] += rest % sizes[i] * steps[i];
    return result;
  };
  std::unordered_map<int64_t, int64_t> holders;
  for (auto [device, code] : llvm::enumerate(codes(was)))
    holders.emplace(code, static_cast<int64_t>(device));
  SmallVector<int64_t> sources;
  for (int64_t code : codes(is))
    sources.push_back(holders.at(code));
  return sources;
}
