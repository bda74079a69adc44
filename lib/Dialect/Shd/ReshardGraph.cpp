#include "ReshardGraph.h"
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

int64_t ReshardGraph::blockFor(unsigned dim, int64_t local, int64_t devices) {
  int64_t n = type.getDimSize(dimNumbers[dim]);
  if (devices == 1 || llvm::divideCeilSigned(n, devices) == local)
    return devices == 1 && local != n ? 0 : 1;
  auto [found, isNew] = blockCache.try_emplace({local * kMaxDims + dim, devices}, 0);
  for (int64_t block = 2; isNew && block <= local; ++block)
    if (n % block == 0 && llvm::divideCeilSigned(n / block, devices) * block == local) {
      found->second = block;
      break;
    }
  return found->second;
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
// Moves
//===----------------------------------------------------------------------===//

void ReshardGraph::forEachMove(const State &state, Visitor visit) {
  slices(state, visit);
  reductions(state, visit);
  exchanges(state, visit);
  gathers(state, visit);
  permutes(state, visit);
}

void ReshardGraph::forEachOrder(uint8_t mask, unsigned dim, ArrayRef<uint8_t> held,
                                function_ref<void(ArrayRef<uint8_t>)> visit) const {
  bool all = axisNames.size() <= 4;
  Axes order;
  auto extend = [&](auto &self, uint8_t left) -> void {
    for (uint8_t axis = 0; axis < axisNames.size(); ++axis) {
      if (!(left >> axis & 1))
        continue;
      order.push_back(axis);
      visit(order);
      if (all)
        self(self, left & ~(1u << axis));
      order.pop_back();
    }
  };
  extend(extend, mask);
  if (all)
    return;
  // Of many axes only what completes the goal's dimension at once.
  const Axes wanted = goal().dims[dim];
  if (wanted.size() < held.size() + 2 || !std::equal(held.begin(), held.end(), wanted.begin()))
    return;
  ArrayRef<uint8_t> rest = ArrayRef<uint8_t>(wanted).drop_front(held.size());
  if (llvm::all_of(rest, [&](uint8_t axis) { return mask >> axis & 1; }))
    visit(rest);
}

void ReshardGraph::forEachSplit(const State &state, unsigned dim, ArrayRef<uint8_t> axes,
                                function_ref<void(const State &)> visit) {
  State next = state;
  next.dims[dim].append(axes);
  int64_t parts = sizeOf(axes);
  bool whole = state.dims[dim].empty();
  for (int64_t size : usefulSizes(dim, sizeOf(next.dims[dim]))) {
    if (!whole && state.sizes[dim] != size * parts)
      continue;
    next.sizes[dim] = size;
    visit(next);
  }
}

std::optional<ReshardGraph::State> ReshardGraph::join(const State &state, unsigned dim, unsigned count) {
  State next = state;
  ArrayRef<uint8_t> minor = ArrayRef<uint8_t>(state.dims[dim]).take_back(count);
  int64_t size = state.sizes[dim] * sizeOf(minor);
  next.dims[dim].resize(state.dims[dim].size() - count);
  if (next.dims[dim].empty())
    size = type.getDimSize(dimNumbers[dim]);
  if (!blockFor(dim, size, sizeOf(next.dims[dim])))
    return std::nullopt;
  next.sizes[dim] = size;
  return next;
}

void ReshardGraph::slices(const State &state, Visitor visit) {
  uint8_t idle = free(state);
  for (unsigned d = 0; d < dimNumbers.size(); ++d)
    forEachOrder(idle & splitInGoal, d, state.dims[d], [&](ArrayRef<uint8_t> axes) {
      forEachSplit(state, d, axes, [&](const State &next) {
        visit({ReshardStep::Slice, static_cast<uint8_t>(d), 0, Axes(axes)}, next);
      });
    });
  keeps(state, idle, visit);
}

/// What is to be partial becomes so for nothing. So does, beside axes that are partial already, what is to be split: one reduce-scatter over
/// all of them may be cheaper than a reduction and a slice.
void ReshardGraph::keeps(const State &state, uint8_t idle, Visitor visit) {
  if (reduce != ReduceKind::Sum || to.getReduce() != ReduceKind::Sum)
    return;
  uint8_t wanted = idle & unreducedInGoal, extra = 0;
  if (state.unreduced && axisNames.size() <= 4)
    extra = idle & splitInGoal;
  auto keep = [&](uint8_t mask) {
    if (!mask)
      return;
    State next = state;
    next.unreduced |= mask;
    Move move{ReshardStep::KeepFirst, 0, 0, {}};
    for (uint8_t axis = 0; axis < axisNames.size(); ++axis)
      if (mask >> axis & 1)
        move.axes.push_back(axis);
    visit(move, next);
  };
  for (uint8_t mask = extra; mask; mask = (mask - 1) & extra) {
    keep(mask);
    if (wanted & ~mask)
      keep(mask | wanted);
  }
  keep(wanted);
}

void ReshardGraph::gathers(const State &state, Visitor visit) {
  for (unsigned d = 0; d < dimNumbers.size(); ++d)
    for (unsigned count = 1; count <= state.dims[d].size(); ++count)
      if (std::optional<State> next = join(state, d, count))
        visit({ReshardStep::AllGather, static_cast<uint8_t>(d), 0,
               Axes(ArrayRef<uint8_t>(state.dims[d]).take_back(count))},
              *next);
}

void ReshardGraph::reductions(const State &state, Visitor visit) {
  for (unsigned d = 0; d < dimNumbers.size(); ++d)
    forEachOrder(state.unreduced, d, state.dims[d], [&](ArrayRef<uint8_t> axes) {
      State reduced = state;
      for (uint8_t axis : axes)
        reduced.unreduced &= ~(1u << axis);
      forEachSplit(reduced, d, axes, [&](const State &next) {
        visit({ReshardStep::ReduceScatter, static_cast<uint8_t>(d), 0, Axes(axes)}, next);
      });
    });
  for (uint8_t mask = state.unreduced; mask; mask = (mask - 1) & state.unreduced) {
    Move move{ReshardStep::AllReduce, 0, 0, {}};
    for (uint8_t axis = 0; axis < axisNames.size(); ++axis)
      if (mask >> axis & 1)
        move.axes.push_back(axis);
    State next = state;
    next.unreduced &= ~mask;
    visit(move, next);
  }
}

void ReshardGraph::exchanges(const State &state, Visitor visit) {
  for (unsigned d = 0; d < dimNumbers.size(); ++d)
    for (unsigned count = 1; count <= state.dims[d].size(); ++count) {
      std::optional<State> joined = join(state, d, count);
      if (!joined)
        continue;
      Axes axes(ArrayRef<uint8_t>(state.dims[d]).take_back(count));
      for (unsigned e = 0; e < dimNumbers.size(); ++e)
        if (e != d)
          forEachSplit(*joined, e, axes, [&](const State &next) {
            visit({ReshardStep::AllToAll, static_cast<uint8_t>(d), static_cast<uint8_t>(e), axes}, next);
          });
    }
}

/// The axes of a state in a row: dimension by dimension, then unreduced, then free; `cuts` tells where each ends.
static ReshardGraph::Axes flatten(const ReshardGraph::State &state, uint8_t idle, unsigned dims, unsigned axes,
                                  SmallVectorImpl<unsigned> &cuts) {
  ReshardGraph::Axes row;
  for (unsigned d = 0; d < dims; ++d) {
    row.append(state.dims[d]);
    cuts.push_back(row.size());
  }
  for (uint8_t mask : {state.unreduced, idle}) {
    for (uint8_t axis = 0; axis < axes; ++axis)
      if (mask >> axis & 1)
        row.push_back(axis);
    cuts.push_back(row.size());
  }
  return row;
}

void ReshardGraph::permutes(const State &state, Visitor visit) {
  State end = goal();
  unsigned numDims = dimNumbers.size(), numAxes = axisNames.size();
  auto sameSplits = [&](const State &next) {
    for (unsigned d = 0; d < numDims; ++d)
      if (sizeOf(next.dims[d]) != sizeOf(state.dims[d]))
        return false;
    Axes before, after;
    for (uint8_t axis = 0; axis < numAxes; ++axis) {
      if (state.unreduced >> axis & 1)
        before.push_back(axis);
      if (next.unreduced >> axis & 1)
        after.push_back(axis);
    }
    return sizeOf(before) == sizeOf(after);
  };
  Move move{ReshardStep::Permute, 0, 0, {}};
  if (numAxes > 4) { // of many axes only the order of the goal
    if (end.sizes == state.sizes && sameSplits(end) && (end.dims != state.dims || end.unreduced != state.unreduced))
      visit(move, end);
    return;
  }
  SmallVector<unsigned> cuts;
  Axes row = flatten(state, free(state), numDims, numAxes, cuts);
  // Every way to deal the axes out to the dimensions and to the rest, each of the same number of devices as before. Deals of
  // other counts than now (a 6 as 2 x 3 for another as 6) do not occur: axes are of prime size.
  std::sort(row.begin(), row.end());
  do {
    State next = state;
    unsigned begin = 0;
    bool ordered = true;
    for (unsigned part = 0; part < numDims + 2; begin = cuts[part], ++part) {
      ArrayRef<uint8_t> axes = ArrayRef<uint8_t>(row).slice(begin, cuts[part] - begin);
      if (part < numDims) {
        next.dims[part] = Axes(axes);
        continue;
      }
      ordered &= std::is_sorted(axes.begin(), axes.end());
      if (part > numDims)
        continue;
      next.unreduced = 0;
      for (uint8_t axis : axes)
        next.unreduced |= 1u << axis;
    }
    if (ordered && sameSplits(next) && (next.dims != state.dims || next.unreduced != state.unreduced))
      visit(move, next);
  } while (std::next_permutation(row.begin(), row.end()));
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
