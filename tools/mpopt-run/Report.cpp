#include "Report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace mpopt::run {
namespace {

using nlohmann::json;

/// Instructions of a rank by kind, and its collectives with the bytes of their operands and results.
void countInstructions(const runtime::LoadedPlan &plan, size_t rank, json &instructions, json &collectives) {
  const plan::Program &program = plan.programOf(rank);
  for (const plan::Instruction *instruction : runtime::items(program.instructions())) {
    std::string op = plan::EnumNameOp(instruction->op_type());
    instructions[op] = instructions.value(op, 0) + 1;
    if (instruction->op_type() != plan::Op::Collective)
      continue;
    json &entry = collectives[runtime::kindOf(plan.plan(), *instruction)];
    if (entry.is_null())
      entry = json::object();
    auto buffers = runtime::items(program.buffers());
    entry["count"] = entry.value("count", uint64_t(0)) + 1;
    entry["read_bytes"] =
        entry.value("read_bytes", uint64_t(0)) + buffers[runtime::numbers(instruction->reads())[0]]->bytes();
    entry["written_bytes"] =
        entry.value("written_bytes", uint64_t(0)) + buffers[runtime::numbers(instruction->writes())[0]]->bytes();
  }
}

json reportOfRank(const runtime::LoadedPlan &plan, const runtime::Session &session, size_t rank) {
  json instructions = json::object(), collectives = json::object();
  countInstructions(plan, rank, instructions, collectives);
  return {{"rank", rank},
          {"work_bytes", plan.programOf(rank).work_bytes()},
          {"weight_bytes", plan.weightBytes(rank)},
          {"load_seconds", session.loadSeconds(rank)},
          {"instructions", instructions},
          {"collectives", collectives}};
}

} // namespace

StepTimes StepTimes::of(std::vector<double> seconds) {
  if (seconds.empty())
    return {};
  std::ranges::sort(seconds);
  return {seconds.front(), seconds[seconds.size() / 2], seconds.back()};
}

std::string makeReport(const runtime::LoadedPlan &plan, const runtime::Session &session,
                       const std::map<std::string, CheckResult> &checks) {
  std::vector<double> seconds = session.stepSeconds();
  StepTimes times = StepTimes::of(seconds);
  json report = {{"model", runtime::text(plan.plan().model())},
                 {"mesh", runtime::text(plan.plan().mesh())},
                 {"devices", plan.numRanks()},
                 {"step_seconds", {{"min", times.min}, {"median", times.median}, {"max", times.max}, {"all", seconds}}},
                 {"ranks", json::array()},
                 {"checks", json::object()}};
  for (size_t rank = 0; rank < plan.numRanks(); ++rank)
    report["ranks"].push_back(reportOfRank(plan, session, rank));
  report["collectives"] = report["ranks"][0]["collectives"];
  for (const auto &[name, check] : checks) {
    json value = std::isfinite(check.error) ? json(check.error) : json("inf");
    report["checks"][name] = {{"relative_error", value}, {"passed", check.passed}};
  }
  json account = json::parse(runtime::text(plan.plan().account()), nullptr, /*allow_exceptions=*/false);
  report["account"] = account.is_discarded() ? json() : account;
  return report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace mpopt::run
