#include "comm/local/Moves.h"
#include "comm/local/Copy.h"
#include "comm/local/Pad.h"

#include <algorithm>

namespace mpopt::runtime {

Moves Moves::of(const plan::Collective &call, const BufferView &source, const BufferView &result, size_t members,
                size_t self) {
  Moves moves;
  moves.sourceShape = source.shape;
  moves.resultShape = result.shape;
  moves.elementBytes = sizeOf(source.dtype);
  moves.streams = result.bytes >= leastStreamedBytes();
  if (*elementCount(result.shape) == 0)
    return moves; // the sizes of what is empty may be huge
  std::vector<int64_t> origin(source.shape.size());
  switch (call.kind()) {
  case plan::CollectiveKind::all_gather:
    moves.gather(call, members);
    break;
  case plan::CollectiveKind::all_to_all:
    moves.allToAll(call, members, self);
    break;
  case plan::CollectiveKind::halo:
    moves.halo(call, members, self);
    break;
  default:
    moves.add(numbers(call.permutation())[self], source.shape, origin, origin);
  }
  moves.preparePad(call, result, members, self);
  std::ranges::rotate(moves.list, std::ranges::lower_bound(moves.list, self, {}, &Move::member));
  moves.numOwn = !moves.list.empty() && moves.list[0].member == self;
  return moves;
}

void Moves::add(size_t member, std::span<const int64_t> size, std::span<const int64_t> sourceStart,
                std::span<const int64_t> resultStart) {
  if (std::ranges::any_of(size, [](int64_t n) { return n <= 0; }))
    return;
  list.push_back({member, StridedRuns(size, sourceShape, sourceStart, resultShape, resultStart, elementBytes)});
}

/// Member i's operand goes to position i * its size of the result, as far as the result reaches.
void Moves::gather(const plan::Collective &call, size_t members) {
  std::vector<int64_t> size(sourceShape.begin(), sourceShape.end()), origin(size.size()), start(size.size());
  int64_t whole = sourceShape[call.dim()];
  for (size_t i = 0; i < members; ++i) {
    start[call.dim()] = static_cast<int64_t>(i) * whole;
    size[call.dim()] = std::min(whole, resultShape[call.dim()] - start[call.dim()]);
    add(i, size, origin, start);
  }
}

/// Member i's block number `self` of `split_dim` goes to position i of `dim`. Blocks may be larger than an even split: 9 heads in
/// groups of 3 are 6 and 3.
void Moves::allToAll(const plan::Collective &call, size_t members, size_t self) {
  std::vector<int64_t> part(sourceShape.begin(), sourceShape.end()), sourceStart(part.size()), resultStart(part.size());
  auto count = static_cast<int64_t>(members);
  int64_t &split = part[call.split_dim()], whole = split;
  int64_t block = call.dim() == call.split_dim() ? (whole + count - 1) / count : resultShape[call.split_dim()];
  sourceStart[call.split_dim()] = std::min(whole, static_cast<int64_t>(self) * block);
  split = std::min(block, whole - sourceStart[call.split_dim()]);
  int64_t step = call.dim() == call.split_dim() ? block : sourceShape[call.dim()], width = part[call.dim()];
  for (int64_t i = 0; i < count; ++i) {
    resultStart[call.dim()] = i * step;
    part[call.dim()] = std::min(width, resultShape[call.dim()] - i * step);
    add(i, part, sourceStart, resultStart);
  }
}

/// The result is the window [self * size - low, (self + 1) * size + high) of the members' operands side by side.
void Moves::halo(const plan::Collective &call, size_t members, size_t self) {
  std::vector<int64_t> size(sourceShape.begin(), sourceShape.end()), sourceStart(size.size()), resultStart(size.size());
  int64_t whole = sourceShape[call.dim()], begin = static_cast<int64_t>(self) * whole - call.low();
  int64_t end = begin + resultShape[call.dim()];
  for (size_t i = 0; i < members; ++i) {
    int64_t first = static_cast<int64_t>(i) * whole, from = std::max(first, begin), to = std::min(first + whole, end);
    size[call.dim()] = to - from;
    sourceStart[call.dim()] = from - first;
    resultStart[call.dim()] = from - begin;
    add(i, size, sourceStart, resultStart);
  }
}

/// The moves never write an element twice, so that they leave something exactly when they write less than the result holds.
void Moves::preparePad(const plan::Collective &call, const BufferView &result, size_t members, size_t self) {
  uint64_t written = 0;
  for (const Move &move : list)
    move.runs.forEach([&](uint64_t, uint64_t, uint64_t bytes) { written += bytes; });
  if (written == *elementCount(resultShape) * elementBytes)
    return;
  constexpr size_t kRow = 1024;
  auto element = elementOf(result.dtype, call.kind() == plan::CollectiveKind::halo ? call.pad() : 0);
  for (size_t i = 0; i < kRow; i += elementBytes)
    pad.insert(pad.end(), element.begin(), element.begin() + elementBytes);
  if (call.kind() != plan::CollectiveKind::halo)
    return padBeside(call.dim(), 0, 0);
  int64_t whole = sourceShape[call.dim()] * static_cast<int64_t>(members);
  int64_t start = static_cast<int64_t>(self) * sourceShape[call.dim()] - call.low();
  padBeside(call.dim(), -start, whole - start);
}

/// Pads what lies outside [begin, end) along `dim`.
void Moves::padBeside(int32_t dim, int64_t begin, int64_t end) {
  std::vector<int64_t> size(resultShape.begin(), resultShape.end()), start(size.size());
  int64_t whole = size[dim];
  auto box = [&](int64_t from, int64_t to) {
    start[dim] = from;
    size[dim] = to - from;
    if (to > from)
      padBoxes.emplace_back(size, resultShape, start, resultShape, start, elementBytes);
  };
  box(0, std::clamp<int64_t>(begin, 0, whole));
  box(std::clamp<int64_t>(end, 0, whole), whole);
}

void Moves::copy(const Move &move, const std::byte *from, std::byte *to) const {
  constexpr uint64_t kLeastRun = 4096; // shorter ones begin and end inside of lines too often
  move.runs.forEach([&](uint64_t f, uint64_t t, uint64_t bytes) {
    if (streams && bytes >= kLeastRun)
      streamCopy(to + t, from + f, bytes);
    else
      std::memcpy(to + t, from + f, bytes);
  });
}

void Moves::runOwn(const std::byte *from, std::byte *to) const {
  for (const StridedRuns &box : padBoxes)
    box.forEach([&](uint64_t, uint64_t start, uint64_t bytes) {
      for (uint64_t at = 0; at < bytes; at += pad.size())
        std::memcpy(to + start + at, pad.data(), std::min<uint64_t>(pad.size(), bytes - at));
    });
  for (size_t i = 0; i < numOwn; ++i)
    copy(list[i], from, to);
}

void Moves::runOthers(std::span<const std::byte *const> from, std::byte *to) const {
  for (size_t i = numOwn; i < list.size(); ++i)
    copy(list[i], from[list[i].member], to);
  if (streams)
    endStream();
}

} // namespace mpopt::runtime
