#include "core/Trace.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace mpopt::runtime {
namespace {

nlohmann::json eventOf(const plan::Plan &plan, const plan::Program &program, const plan::Instruction &instruction,
                       const TraceEvent &event, int64_t origin, size_t rank) {
  std::string kind = kindOf(plan, instruction), node = items(plan.names())[instruction.node()]->str();
  nlohmann::json args = {{"kind", kind}, {"predicted_us", instruction.seconds() * 1e6}};
  if (instruction.op_type() == plan::Op::Collective || instruction.op_type() == plan::Op::Send)
    args["bytes"] = items(program.buffers())[numbers(instruction.reads())[0]]->bytes();
  return {{"name", node.empty() ? kind : node},
          {"cat", plan::EnumNameOp(instruction.op_type())},
          {"ph", "X"},
          {"pid", 0},
          {"tid", rank},
          {"ts", static_cast<double>(event.begin - origin) / 1e3},
          {"dur", static_cast<double>(event.end - event.begin) / 1e3},
          {"args", args}};
}

int64_t earliest(std::span<const TraceBuffer> ranks) {
  int64_t origin = INT64_MAX;
  for (const TraceBuffer &buffer : ranks)
    for (size_t i = 0; i < size_t(buffer.steps) * buffer.instructions; ++i)
      if (buffer.events[i].begin > 0)
        origin = std::min(origin, buffer.events[i].begin);
  return origin;
}

} // namespace

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Status writeTrace(const std::string &path, const plan::Plan &plan, std::span<const TraceBuffer> ranks) {
  std::ofstream file(path);
  int64_t origin = earliest(ranks);
  file << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    nlohmann::json name = {{"name", "thread_name"}, {"ph", "M"}, {"pid", 0}, {"tid", rank}};
    name["args"]["name"] = "rank " + std::to_string(rank);
    file << (rank ? ",\n" : "") << name.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    const plan::Program &program = *items(plan.programs())[items(plan.ranks())[rank]->program()];
    for (size_t i = 0; i < size_t(ranks[rank].steps) * ranks[rank].instructions; ++i)
      if (ranks[rank].events[i].begin > 0)
        file << ",\n"
             << eventOf(plan, program, *items(program.instructions())[i % ranks[rank].instructions],
                        ranks[rank].events[i], origin, rank)
                    .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  file << "\n]}\n";
  file.close();
  if (!file)
    return error("cannot write trace '" + path + "': " + std::strerror(errno));
  return {};
}

} // namespace mpopt::runtime
