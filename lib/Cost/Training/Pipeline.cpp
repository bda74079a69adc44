#include "mpopt/Cost/Training/Pipeline.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace mpopt::cost {

namespace {

using List = std::vector<Instruction>;

List gpipe(int32_t microbatches) {
  List list;
  for (int32_t i = 0; i < microbatches; ++i)
    list.push_back({PassKind::Forward, i, 0});
  for (int32_t i = 0; i < microbatches; ++i)
    list.push_back({PassKind::Backward, i, 0});
  return list;
}

List interleaved(int32_t stage, int32_t stages, int32_t microbatches, int32_t interleave) {
  int32_t total = microbatches * interleave, round = stages * interleave;
  auto pass = [&](int32_t index, PassKind kind) {
    int32_t chunk = index % round / stages;
    return Instruction{kind, index / round * stages + index % stages,
                       kind == PassKind::Forward ? chunk : interleave - 1 - chunk};
  };
  int32_t ahead = interleave == 1 ? stages - 1 - stage : 2 * (stages - 1 - stage) + (interleave - 1) * stages;
  ahead = std::min(ahead, total);
  List list;
  for (int32_t i = 0; i < ahead; ++i)
    list.push_back(pass(i, PassKind::Forward));
  for (int32_t i = ahead; i < total; ++i) {
    list.push_back(pass(i, PassKind::Forward));
    list.push_back(pass(i - ahead, PassKind::Backward));
  }
  for (int32_t i = total - ahead; i < total; ++i)
    list.push_back(pass(i, PassKind::Backward));
  return list;
}

List zeroBubble(int32_t stage, int32_t stages, int32_t microbatches) {
  List list;
  int32_t done = 0; // weight gradients
  for (Instruction instruction : interleaved(stage, stages, microbatches, 1)) {
    list.push_back(instruction);
    if (instruction.kind == PassKind::Backward && instruction.microbatch >= stage)
      list.push_back({PassKind::WeightGradient, done++, 0});
  }
  while (done < microbatches)
    list.push_back({PassKind::WeightGradient, done++, 0});
  return list;
}

/// Activations live from a chunk's forward pass to the pass that reads them last.
std::vector<int64_t> countHeld(Schedule schedule, const List &list, int64_t interleave) {
  std::vector<int64_t> held(interleave, 0), peak = held;
  int64_t now = 0, most = 0;
  PassKind last = schedule == Schedule::ZeroBubbleH1 ? PassKind::WeightGradient : PassKind::Backward;
  for (const Instruction &instruction : list) {
    int64_t change = instruction.kind == PassKind::Forward ? 1 : instruction.kind == last ? -1 : 0;
    held[instruction.chunk] += change;
    now += change;
    if (now > most)
      most = now, peak = held;
  }
  return peak;
}

class Simulation {
public:
  Simulation(const PipelineInput &input, PipelineTrace *trace)
      : in(input), trace(trace), next(in.stages, 0), arrived(2 * size_t(chunks()) * in.microbatches, kNever) {
    result.ends.assign(in.stages, 0);
    result.busy.assign(in.stages, 0);
    if (trace)
      trace->assign(in.stages, {});
    for (int64_t stage = 0; stage < in.stages; ++stage)
      lists.push_back(instructionsOf(in.schedule, stage, in.stages, in.microbatches, in.interleave));
    for (int64_t i = 0; i < in.microbatches; ++i)
      arrival(PassKind::Forward, 0, i) = 0;
  }

  PipelineResult run() {
    for (int64_t stage = 0; stage < in.stages; ++stage)
      ready.push_back(stage);
    while (!ready.empty()) {
      int64_t stage = ready.back();
      ready.pop_back();
      while (next[stage] < lists[stage].size() && step(stage, lists[stage][next[stage]]))
        ++next[stage];
    }
    for (int64_t stage = 0; stage < in.stages; ++stage) {
      assert(next[stage] == lists[stage].size() && "the schedules of this file do not deadlock");
      result.seconds = std::max(result.seconds, result.ends[stage]);
      result.held.push_back(countHeld(in.schedule, lists[stage], in.interleave));
    }
    return std::move(result);
  }

private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  int64_t chunks() const { return in.stages * in.interleave; }

  double &arrival(PassKind kind, int64_t chunk, int64_t microbatch) {
    return arrived[(kind == PassKind::Forward ? 0 : chunks() * in.microbatches) + chunk * in.microbatches + microbatch];
  }

  double secondsOf(PassKind kind, const PartSeconds &part) const {
    switch (kind) {
    case PassKind::Forward:
      return part.forward;
    case PassKind::Backward:
      return in.schedule == Schedule::ZeroBubbleH1 ? part.inputGradient : part.backward();
    case PassKind::WeightGradient:
      return part.weightGradient;
    }
    return 0;
  }

  /// Runs the pass if its input is there.
  bool step(int64_t stage, const Instruction &instruction) {
    int64_t chunk = instruction.chunk * in.stages + stage, microbatch = instruction.microbatch;
    double input = 0;
    if (instruction.kind != PassKind::WeightGradient)
      input = arrival(instruction.kind, chunk, microbatch);
    if (input == kNever)
      return false;
    double seconds = secondsOf(instruction.kind, in.chunks[chunk]);
    double end = std::max(result.ends[stage], input) + seconds;
    result.ends[stage] = end;
    if (trace)
      (*trace)[stage].push_back({instruction, end - seconds, seconds});
    result.busy[stage] += seconds;
    if (instruction.kind == PassKind::Forward)
      deliver(chunk + 1 < chunks() ? PassKind::Forward : PassKind::Backward, std::min(chunk + 1, chunks() - 1), chunk,
              microbatch, end);
    else if (instruction.kind == PassKind::Backward && chunk > 0)
      deliver(PassKind::Backward, chunk - 1, chunk, microbatch, end);
    return true;
  }

  void deliver(PassKind kind, int64_t to, int64_t from, int64_t microbatch, double end) {
    arrival(kind, to, microbatch) = end + (to == from ? 0 : in.sends[std::min(to, from)]);
    if (to % in.stages != from % in.stages)
      ready.push_back(to % in.stages);
  }

  const PipelineInput &in;
  PipelineTrace *trace;
  std::vector<List> lists;
  std::vector<size_t> next;
  std::vector<double> arrived;
  std::vector<int64_t> ready;
  PipelineResult result;
};

} // namespace

List instructionsOf(Schedule schedule, int64_t stage, int64_t stages, int64_t microbatches, int64_t interleave) {
  switch (schedule) {
  case Schedule::GPipe:
    return gpipe(int32_t(microbatches));
  case Schedule::OneForwardOneBackward:
    return interleaved(int32_t(stage), int32_t(stages), int32_t(microbatches), int32_t(interleave));
  case Schedule::ZeroBubbleH1:
    return zeroBubble(int32_t(stage), int32_t(stages), int32_t(microbatches));
  }
  return {};
}

std::vector<int64_t> heldMicrobatches(Schedule schedule, int64_t stage, int64_t stages, int64_t microbatches,
                                      int64_t interleave) {
  if (schedule == Schedule::GPipe)
    return {microbatches};
  // From the third turn of `stages` microbatches on nothing new happens.
  int64_t enough = std::min(microbatches, 3 * stages);
  return countHeld(schedule, instructionsOf(schedule, stage, stages, enough, interleave), interleave);
}

std::string_view name(PassKind kind) {
  constexpr std::string_view names[] = {"forward", "backward", "weight_gradient"};
  return names[static_cast<size_t>(kind)];
}

PipelineResult simulate(const PipelineInput &input, PipelineTrace *trace) { return Simulation(input, trace).run(); }

} // namespace mpopt::cost
