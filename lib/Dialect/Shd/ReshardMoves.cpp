// Moves from one state of a reshard graph to the next.
#include "ReshardGraph.h"
#include <algorithm>

using namespace mlir;
using namespace mpopt::shd;

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
