#include "core/Trace.h"
#include "format/Messages.h"
#include "format/OutputFile.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mpopt::runtime {
namespace {

using nlohmann::json;

/// Writes one rank's track.
class Track {
public:
  Track(OutputFile &file, const plan::Plan &plan, const TraceData &data, size_t rank, int64_t origin)
      : file(file), plan(plan), data(data), rank(rank), origin(origin), buffer(data.ranks[rank]),
        program(*items(plan.programs())[items(plan.ranks())[rank]->program()]) {}

  void write() {
    write({{"name", "thread_name"}, {"ph", "M"}, {"args", {{"name", "rank " + std::to_string(rank)}}}});
    write({{"name", "thread_sort_index"}, {"ph", "M"}, {"args", {{"sort_index", rank}}}});
    uint64_t ranks = data.ranks.size(), steps = data.steps.size() / ranks;
    for (uint64_t step = steps - std::min<uint64_t>(steps, buffer.steps); step < steps; ++step) {
      slice("step " + std::to_string(step), "step", data.steps[step * ranks + rank], {{"step", step}});
      const TraceEvent *events = buffer.events + (step % buffer.steps) * TraceBuffer::slots(buffer.instructions);
      for (uint32_t slot = 0; slot < TraceBuffer::slots(buffer.instructions); ++slot)
        if (events[slot].span.begin > 0)
          instruction(slot, events[slot]);
    }
  }

private:
  void instruction(uint32_t slot, const TraceEvent &event) {
    const plan::Instruction &instruction = *items(program.instructions())[slot % buffer.instructions];
    std::string node = nodeName(instruction.node()), kind = kindOf(plan, instruction);
    if (slot >= buffer.instructions)
      kind += " done"; // the payload has been taken
    double microseconds = static_cast<double>(event.span.end - event.span.begin) / 1e3;
    json args = {{"kind", kind}, {"instruction", slot % buffer.instructions}};
    if (instruction.seconds() > 0)
      args["predicted_us"] = static_cast<double>(instruction.seconds()) * 1e6;
    for (uint32_t other : numbers(instruction.other_nodes()))
      args["also"].push_back(nodeName(other));
    if (event.waits.count > 0) {
      args["waiting_us"] = static_cast<double>(event.waits.total) / 1e3;
      args["working_us"] = microseconds - static_cast<double>(event.waits.total) / 1e3;
    }
    describeTraffic(instruction, args);
    if (const plan::Collective *call = instruction.op_as_Collective(); call && isRouted(call->kind()))
      args["routed_bytes"] = event.routedBytes;
    slice(node.empty() ? kind : node, categoryOf(instruction), event.span, std::move(args));
    for (uint32_t i = 0; i < std::min(event.waits.count, WaitLog::kKept); ++i)
      slice("waiting", "wait", event.waits.kept[i], json::object());
  }

  /// "rank 2, rank 3"
  std::string partnersText(const plan::Instruction &instruction) const {
    std::string list;
    for (const Partner &partner : partnersOf(plan, rank, instruction))
      list += (list.empty() ? "" : ", ") + ("rank " + std::to_string(partner.rank));
    return list;
  }

  void describeTraffic(const plan::Instruction &instruction, json &args) const {
    if (instruction.op_type() == plan::Op::Send) {
      args["bytes"] = bytesOf(numbers(instruction.reads())[0]);
      args["to"] = partnersText(instruction);
    }
    if (instruction.op_type() == plan::Op::Recv) {
      args["bytes"] = bytesOf(numbers(instruction.writes())[0]);
      args["from"] = partnersText(instruction);
    }
    const plan::Collective *collective = instruction.op_as_Collective();
    if (!collective)
      return;
    const plan::GroupSet &set = *items(plan.group_sets())[collective->group_set()];
    args["bytes"] = bytesOf(numbers(instruction.reads())[0]);
    args["result_bytes"] = bytesOf(numbers(instruction.writes())[0]);
    args["axes"] = text(set.axes());
    for (const plan::Group *group : items(set.groups()))
      if (auto ranks = numbers(group->ranks()); std::ranges::find(ranks, rank) != ranks.end())
        args["group"] = std::vector(ranks.begin(), ranks.end());
  }

  uint64_t bytesOf(uint32_t index) const { return items(program.buffers())[index]->bytes(); }
  std::string nodeName(uint32_t index) const { return items(plan.names())[index]->str(); }

  static const char *categoryOf(const plan::Instruction &instruction) {
    switch (instruction.op_type()) {
    case plan::Op::KernelCall:
      return "kernel";
    case plan::Op::Copy:
      return "copy";
    default:
      return "communication";
    }
  }

  void slice(const std::string &name, const char *category, TimeSpan span, json args) {
    write({{"name", name},
           {"cat", category},
           {"ph", "X"},
           {"ts", static_cast<double>(span.begin - origin) / 1e3},
           {"dur", static_cast<double>(span.end - span.begin) / 1e3},
           {"args", std::move(args)}});
  }

  void write(json event) {
    event["pid"] = 0;
    event["tid"] = rank;
    file.write(",\n" + event.dump(-1, ' ', false, json::error_handler_t::replace));
  }

  OutputFile &file;
  const plan::Plan &plan;
  const TraceData &data;
  size_t rank;
  int64_t origin;
  const TraceBuffer &buffer;
  const plan::Program &program;
};

/// When the earliest step began that is in the trace.
int64_t originOf(const TraceData &data) {
  size_t kept = std::min<size_t>(data.steps.size(), data.ranks.size() * data.ranks[0].steps);
  return std::ranges::min(data.steps.last(kept), {}, &TimeSpan::begin).begin;
}

} // namespace

Status writeTrace(const std::string &path, const plan::Plan &plan, const TraceData &data) {
  auto file = OutputFile::create(path);
  if (!file)
    return tl::unexpected(file.error());
  json process = {{"name", "process_name"}, {"ph", "M"}, {"pid", 0}};
  process["args"]["name"] = "mpopt-run " + std::string(text(plan.model()));
  file->write("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" +
              process.dump(-1, ' ', false, json::error_handler_t::replace));
  for (size_t rank = 0; rank < data.ranks.size(); ++rank)
    Track(*file, plan, data, rank, originOf(data)).write();
  file->write("\n]}\n");
  return file->commit();
}

} // namespace mpopt::runtime
