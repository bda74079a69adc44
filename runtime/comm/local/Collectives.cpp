#include "comm/local/Collectives.h"
#include "comm/local/Exchange.h"
#include "comm/local/Meeting.h"
#include "comm/local/Moves.h"
#include "comm/local/Reduce.h"
#include "comm/local/Routes.h"

#include <algorithm>
#include <cstring>

namespace mpopt::runtime {
namespace {

/// What every collective needs: the meeting, and where the members' operands are. A small operand is first copied to the rank's staging slot, so
/// that one meeting is enough: the operand may be overwritten as soon as its copy is made.
class LocalCollective : public Launch {
public:
  LocalCollective(const LocalFabric &fabric, uint32_t rank, Progress &progress, const plan::Collective &call,
                  const plan::Instruction &instruction, const Operands &operands)
      : fabric(fabric), meeting(fabric, rank, progress, call.group_set(), call.sequence()), rank(rank),
        set(call.group_set()), source(operands.reads[0]), result(operands.writes[0]),
        payload(*elementCount(source.shape) * sizeOf(source.dtype)), staged(payload <= fabric.mostStaged()),
        from(meeting.size()) {
    for (size_t i = 0; i < meeting.size(); ++i)
      direct.push_back(fabric.address(meeting.member(i), numbers(instruction.reads())[0]));
  }

  Status submit() override {
    unsigned parity = meeting.parity();
    if (staged)
      std::memcpy(fabric.staging(rank, set, parity), source.data, payload);
    for (size_t i = 0; i < from.size(); ++i)
      from[i] = staged ? fabric.staging(meeting.member(i), set, parity) : direct[i];
    meeting.arrive();
    runAlone();
    if (Status status = meeting.await(); !status)
      return status;
    return run();
  }

protected:
  /// What a rank can do before the others' operands are ready.
  virtual void runAlone() {}
  /// What a rank does once all operands are ready.
  virtual Status run() = 0;
  /// Ends run() where operands were read in place.
  Status done() { return staged ? Status() : meeting.meet(); }

  const LocalFabric &fabric;
  Meeting meeting;
  uint32_t rank;
  size_t set;
  BufferView source, result;
  uint64_t payload;
  bool staged;
  std::vector<const std::byte *> direct, from; // one per member
};

/// all_gather, all_to_all: boxes of the members' operands are copied into the result.
class MoveCollective : public LocalCollective {
public:
  template <typename... Args>
  MoveCollective(const plan::Collective &call, Args &&...args)
      : LocalCollective(args...), moves(Moves::of(call, source, result, meeting.size(), meeting.place())) {}

protected:
  void runAlone() override { moves.runOwn(source.data, result.data); }
  Status run() override {
    moves.runOthers(from, result.data);
    return done();
  }

private:
  Moves moves;
};

/// dispatch, combine: rows of the members' operands are taken as the indices say.
class RouteCollective : public LocalCollective {
public:
  RouteCollective(const LocalFabric &fabric, uint32_t rank, Progress &progress, const plan::Collective &call,
                  const plan::Instruction &instruction, const Operands &operands)
      : LocalCollective(fabric, rank, progress, call, instruction, operands), progress(progress),
        routes(call, operands, meeting.size(), meeting.place()), scratch(meeting.size()),
        gives(call.kind() == plan::CollectiveKind::dispatch) {}

protected:
  Status run() override {
    progress.routedBytes += gives ? routes.dispatch(from) : routes.combine(from, scratch);
    return done();
  }

private:
  Progress &progress;
  Routes routes;
  std::vector<const std::byte *> scratch;
  bool gives;
};

/// all_reduce of a small operand: everybody reduces everything.
class SmallAllReduce : public LocalCollective {
public:
  template <typename... Args>
  SmallAllReduce(ReduceFunction reduce, Args &&...args) : LocalCollective(args...), reduce(reduce) {}

protected:
  Status run() override {
    reduce(result.data, from.data(), from.size(), payload);
    return {};
  }

private:
  ReduceFunction reduce;
};

/// all_reduce of a large operand: each member reduces one chunk, then takes the others' chunks from their results.
class LargeAllReduce : public LocalCollective {
public:
  template <typename... Args>
  LargeAllReduce(ReduceFunction reduce, uint32_t resultIndex, Args &&...args)
      : LocalCollective(args...), reduce(reduce), shifted(meeting.size()) {
    for (size_t i = 0; i < meeting.size(); ++i)
      results.push_back(fabric.address(meeting.member(i), resultIndex));
    constexpr uint64_t kLine = 64;
    chunk = (payload / meeting.size() + kLine) / kLine * kLine;
  }

protected:
  Status run() override {
    auto [start, size] = chunkOf(meeting.place());
    for (size_t i = 0; i < from.size(); ++i)
      shifted[i] = from[i] + start;
    reduce(result.data + start, shifted.data(), shifted.size(), size);
    if (Status status = meeting.meet(); !status)
      return status;
    for (size_t step = 1; step < from.size(); ++step) { // begin with different peers
      size_t peer = (meeting.place() + step) % from.size();
      auto [peerStart, peerSize] = chunkOf(peer);
      std::memcpy(result.data + peerStart, results[peer] + peerStart, peerSize);
    }
    return meeting.meet();
  }

private:
  std::pair<uint64_t, uint64_t> chunkOf(size_t member) const {
    uint64_t start = std::min(payload, member * chunk);
    return {start, std::min(chunk, payload - start)};
  }

  ReduceFunction reduce;
  std::vector<const std::byte *> results, shifted;
  uint64_t chunk = 0;
};

class ReduceScatter : public LocalCollective {
public:
  template <typename... Args>
  ReduceScatter(ReduceFunction reduce, const plan::Collective &call, Args &&...args)
      : LocalCollective(args...), reduce(reduce), runs(block(call)), shifted(meeting.size()) {
    std::vector<int64_t> size(result.shape.begin(), result.shape.end());
    int64_t start = static_cast<int64_t>(meeting.place()) * size[call.dim()];
    padded = start + size[call.dim()] > source.shape[call.dim()];
  }

protected:
  Status run() override {
    if (padded)
      std::memset(result.data, 0, result.bytes);
    runs.forEach([&](uint64_t sourceOffset, uint64_t resultOffset, uint64_t bytes) {
      for (size_t i = 0; i < from.size(); ++i)
        shifted[i] = from[i] + sourceOffset;
      reduce(result.data + resultOffset, shifted.data(), shifted.size(), bytes);
    });
    return done();
  }

private:
  /// This member's block of the operands, next to the result.
  StridedRuns block(const plan::Collective &call) const {
    std::vector<int64_t> size(result.shape.begin(), result.shape.end()), start(size.size()), origin(size.size());
    int64_t whole = source.shape[call.dim()];
    start[call.dim()] = std::min(whole, static_cast<int64_t>(meeting.place()) * size[call.dim()]);
    size[call.dim()] = std::min(size[call.dim()], whole - start[call.dim()]);
    return StridedRuns(size, source.shape, start, result.shape, origin, sizeOf(source.dtype));
  }

  ReduceFunction reduce;
  StridedRuns runs;
  std::vector<const std::byte *> shifted;
  bool padded = false;
};

} // namespace

Result<LaunchPtr> makeLocalCollective(const LocalFabric &fabric, uint32_t rank, Progress &progress,
                                      const plan::Collective &call, const plan::Instruction &instruction,
                                      const Operands &operands) {
  ReduceFunction reduce = reduceFunction(operands.reads[0].dtype, call.reduce());
  uint64_t payload = *elementCount(operands.reads[0].shape) * sizeOf(operands.reads[0].dtype);
  switch (call.kind()) {
  case plan::CollectiveKind::all_reduce:
    if (payload <= fabric.mostStaged())
      return std::make_unique<SmallAllReduce>(reduce, fabric, rank, progress, call, instruction, operands);
    return std::make_unique<LargeAllReduce>(reduce, numbers(instruction.writes())[0], fabric, rank, progress, call,
                                            instruction, operands);
  case plan::CollectiveKind::reduce_scatter:
    return std::make_unique<ReduceScatter>(reduce, call, fabric, rank, progress, call, instruction, operands);
  case plan::CollectiveKind::permute:
  case plan::CollectiveKind::halo:
    return makeExchange(fabric, rank, progress, call, instruction, operands);
  case plan::CollectiveKind::dispatch:
  case plan::CollectiveKind::combine:
    return std::make_unique<RouteCollective>(fabric, rank, progress, call, instruction, operands);
  default:
    return std::make_unique<MoveCollective>(call, fabric, rank, progress, call, instruction, operands);
  }
}

} // namespace mpopt::runtime
