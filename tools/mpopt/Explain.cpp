#include "Explain.h"
#include "Text.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using llvm::formatv;
namespace json = llvm::json;

namespace mpopt {
namespace {

double number(const json::Object &object, llvm::StringRef key) { return object.getNumber(key).value_or(0); }
std::string text(const json::Object &object, llvm::StringRef key) { return object.getString(key).value_or("").str(); }

std::string percent(double part, double whole) {
  double value = whole > 0 ? 100 * part / whole : 0;
  return formatv(value < 10 ? "{0:f1} %" : "{0:f0} %", value).str();
}

/// "+0.123 ms (1.2 %) as row-parallel x4".
std::string runnerUpText(const json::Object &layout, double stepSeconds) {
  const json::Value *value = layout.get("runner_up");
  if (!value)
    return "next best not looked for";
  const json::Object *other = value->getAsObject();
  if (!other)
    return "no other way";
  double more = number(*other, "seconds_more");
  bool exact = other->getBoolean("exact").value_or(false);
  std::string sign = more < 0 ? "-" : exact ? "+" : "at most +"; // less: the plan is not the best one
  return sign + timeText(std::abs(more)) + " (" + percent(std::abs(more), stepSeconds) + ") as " +
         text(*other, "layout");
}

void printBlock(const json::Object &block, double stepSeconds, llvm::raw_ostream &os) {
  constexpr size_t kName = 70;
  auto count = static_cast<int64_t>(number(block, "count")),
       operators = static_cast<int64_t>(number(block, "operators"));
  double compute = number(block, "compute_seconds"), communication = number(block, "communication_seconds");
  os << "\n" << fitted(text(block, "name"), kName);
  if (count > 1)
    os << "  x" << count << ", the last is " << fitted(text(block, "last_name"), kName);
  os << "\n  " << operators << " operators, " << timeText(compute + communication);
  if (count > 1)
    os << " each, " << percent(static_cast<double>(count) * (compute + communication), stepSeconds) << " of the step";
  else
    os << ", " << percent(compute + communication, stepSeconds) << " of the step";
  os << ": compute " << timeText(compute) << ", communication " << timeText(communication) << "\n  collectives "
     << collectivesText(*block.getArray("collectives")) << "; weights " << bytesText(number(block, "weights_bytes"))
     << ", activations at most " << bytesText(number(block, "live_bytes")) << "\n";
  Table table("    ", 40);
  for (const json::Value &value : *block.getArray("layouts")) {
    const json::Object &layout = *value.getAsObject();
    table.add({text(layout, "op"), text(layout, "node"), text(layout, "layout"), runnerUpText(layout, stepSeconds)});
  }
  table.print(os);
  for (const json::Value &value : *block.getArray("others")) {
    const json::Object &other = *value.getAsObject();
    auto count = static_cast<int64_t>(number(other, "operators"));
    os << "    " << count << (count == 1 ? " other, " : " others, ") << timeText(number(other, "seconds")) << ": "
       << text(other, "layout") << "\n";
  }
}

} // namespace

std::string collectivesText(const json::Array &collectives) {
  std::string result;
  for (const json::Value &value : collectives) {
    const json::Object &kind = *value.getAsObject();
    double count = number(kind, "count");
    bool whole = count == static_cast<double>(static_cast<int64_t>(count));
    result += (result.empty() ? "" : ", ") + formatv(whole ? "{0:f0}" : "{0:f2}", count).str() + " " +
              text(kind, "kind") + " (" + bytesText(number(kind, "bytes")) + ")";
  }
  return result.empty() ? "none" : result;
}

static void printPipeline(const json::Object &account, llvm::raw_ostream &os) {
  const json::Object *pipeline = account.getObject("pipeline");
  const json::Array *stages = pipeline ? pipeline->getArray("stages") : nullptr;
  if (!stages || stages->empty())
    return;
  os << stages->size() << " pipeline stages; a pass of a microbatch takes "
     << timeText(number(*pipeline, "pass_seconds")) << ", a step is made of "
     << static_cast<int64_t>(number(*pipeline, "microbatches"))
     << (pipeline->getBoolean("steps_overlap").value_or(false) ? ", and steps overlap\n" : "\n");
  bool mixed = llvm::any_of(*stages, [&](const json::Value &stage) {
    return text(*stage.getAsObject(), "device") != text(*stages->front().getAsObject(), "device");
  });
  constexpr size_t kName = 40;
  Table table("  ", 40);
  table.add({"devices", "operators", "time", "receives", "sends", "weights", "activations", "from", "to"});
  for (const json::Value &value : *stages) {
    const json::Object &stage = *value.getAsObject();
    const json::Array &devices = *stage.getArray("devices");
    auto bytes = [&](llvm::StringRef key) { return bytesText(number(stage, key)); };
    int64_t first = devices.front().getAsInteger().value_or(0), last = devices.back().getAsInteger().value_or(0);
    table.add({(first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last)) +
                   (mixed ? " " + text(stage, "device") : ""),
               std::to_string(static_cast<int64_t>(number(stage, "operators"))), timeText(number(stage, "seconds")),
               bytes("received_bytes"), bytes("sent_bytes"), bytes("weights_bytes"), bytes("live_bytes"),
               fitted(text(stage, "first_node"), kName), fitted(text(stage, "last_node"), kName)});
  }
  table.print(os);
}

/// What other numbers of stages and microbatches would have come to.
static void printCandidates(const json::Object &account, llvm::raw_ostream &os) {
  const json::Array *candidates = account.getArray("pipelines_considered");
  if (!candidates)
    return;
  os << "Pipelines considered:\n";
  Table table("  ", 40);
  for (const json::Value &value : *candidates) {
    const json::Object &candidate = *value.getAsObject();
    bool exists = candidate.get("predicted_seconds") != nullptr;
    std::string stages;
    if (const json::Array *devices = candidate.getArray("stage_devices"))
      for (const json::Value &size : *devices)
        stages += (stages.empty() ? "" : "+") + std::to_string(size.getAsInteger().value_or(0));
    else
      stages = std::to_string(static_cast<int64_t>(number(candidate, "stages")));
    table.add({formatv("pp={0},mb={1:f0}", stages, number(candidate, "microbatches")).str(),
               exists ? timeText(number(candidate, "predicted_seconds")) : "no plan",
               exists ? bytesText(number(candidate, "memory_bytes")) : ""});
  }
  table.print(os);
}

void printExplanation(const json::Object &account, llvm::raw_ostream &os) {
  double step = number(account, "predicted_seconds"), bound = number(account, "lower_bound_seconds");
  os << "predicted " << timeText(step) << " a step; by the same cost model no plan takes less than " << timeText(bound)
     << " (" << percent(step - bound, step) << " away)\n"
     << "Per device. On the right: how much longer the step would be, all else chosen anew, if that operator were "
        "spread\n"
     << "otherwise (in every copy of a repeated block).\n";
  printPipeline(account, os);
  printCandidates(account, os);
  if (const json::Object *pipeline = account.getObject("pipeline")) // blocks are those of a pass
    step = number(*pipeline, "pass_seconds");
  if (const json::Array *blocks = account.getArray("blocks"))
    for (const json::Value &block : *blocks)
      printBlock(*block.getAsObject(), step, os);
  os << "\n";
}

} // namespace mpopt
