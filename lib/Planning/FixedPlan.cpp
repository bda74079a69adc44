#include "mpopt/Planning/Options.h"
#include "nlohmann/json.hpp"

using nlohmann::json;

namespace mpopt::planning {
namespace {

std::string textAt(const json &object, const char *key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

/// The strings of a list; nullopt where there is no such list.
std::optional<std::vector<std::string>> textsAt(const json &object, const char *key) {
  auto it = object.find(key);
  if (it == object.end() || !it->is_array())
    return std::nullopt;
  std::vector<std::string> texts;
  for (const json &value : *it)
    if (value.is_string())
      texts.push_back(value.get<std::string>());
  return texts.size() == it->size() ? std::optional(texts) : std::nullopt;
}

std::optional<FixedPlan::Operator> readOperator(const json &entry) {
  if (!entry.is_object())
    return std::nullopt;
  auto in = textsAt(entry, "in"), out = textsAt(entry, "out");
  if (!in || textAt(entry, "sharding").empty())
    return std::nullopt;
  return FixedPlan::Operator{textAt(entry, "node"), textAt(entry, "op"), *in,
                             out.value_or(std::vector{textAt(entry, "sharding")})};
}

} // namespace

Result<FixedPlan> parseFixedPlan(const std::string &text, const std::string &file) {
  auto bad = [&](const std::string &what) {
    return error("plan '" + file + "' " + what + "; write it with mpopt plan ... --json");
  };
  json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded())
    return bad("is not JSON");
  if (!root.is_object() || !root.contains("strategy") || !root["strategy"].is_array() || !root.contains("devices") ||
      !root["devices"].is_number_integer())
    return bad("is not the account of a plan");
  FixedPlan plan;
  plan.file = file;
  plan.devices = root["devices"].get<int64_t>();
  plan.machine = textAt(root, "machine");
  plan.objective = textAt(root, "objective");
  plan.mesh = textAt(root, "mesh");
  plan.dims = textsAt(root, "dims").value_or(std::vector<std::string>());
  if (std::string flag = textAt(root, "strategy_flag"); !flag.empty()) {
    Result<Strategy> strategy = parseStrategy(flag);
    if (!strategy)
      return tl::make_unexpected(strategy.error());
    plan.strategy = *strategy;
  }
  auto inputs = textsAt(root, "input_shardings"), outputs = textsAt(root, "output_shardings");
  if (!inputs || !outputs)
    return bad("does not say how inputs and outputs are spread");
  plan.inputs = *inputs;
  plan.outputs = *outputs;
  for (const json &entry : root["strategy"]) {
    auto read = readOperator(entry);
    if (!read)
      return bad("does not say how operator " + std::to_string(plan.operators.size() + 1) + " is spread");
    plan.operators.push_back(std::move(*read));
  }
  return plan;
}

} // namespace mpopt::planning
