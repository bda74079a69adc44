#include "Cases.h"

#include <cmath>

using namespace mpopt;
using namespace mpopt::cost;
using Json = nlohmann::ordered_json;

namespace {

/// Reads typed values out of one JSON object and keeps the first problem; keys never asked for are refused at the end.
class JsonReader {
public:
  JsonReader(const Json &object, std::string path, std::optional<Error> &failure)
      : object(object), path(std::move(path)), failure(failure) {
    if (!object.is_object())
      fail("", "write an object");
  }

  int64_t integer(const char *key, std::optional<int64_t> fallback = {}) {
    const Json *value = find(key, !fallback);
    if (!value)
      return fallback.value_or(1);
    if (!value->is_number_integer() || *value < 1 || *value > (int64_t(1) << 40))
      return fail(key, "write a whole number from 1 to 2^40"), 1;
    return value->get<int64_t>();
  }

  bool flag(const char *key, bool fallback) {
    const Json *value = find(key, false);
    if (value && !value->is_boolean())
      return fail(key, "write true or false"), fallback;
    return value ? value->get<bool>() : fallback;
  }

  double number(const char *key, double fallback) {
    const Json *value = find(key, false);
    if (value && (!value->is_number() || !(value->get<double>() > 0)))
      return fail(key, "write a number above 0"), fallback;
    return value ? value->get<double>() : fallback;
  }

  /// Whether the key holds this very string.
  bool says(const char *key, const char *text) {
    const Json *value = find(key, false);
    return value && value->is_string() && value->get<std::string>() == text;
  }

  std::string text(const char *key, const char *fallback) {
    const Json *value = find(key, false);
    if (value && !value->is_string())
      return fail(key, "write a string"), fallback;
    return value ? value->get<std::string>() : fallback;
  }

  template <typename T>
  T choice(const char *key, const char *fallback, std::initializer_list<std::pair<const char *, T>> choices) {
    std::string value = text(key, fallback), known;
    for (const auto &[name, result] : choices) {
      if (value == name)
        return result;
      known += (known.empty() ? "" : ", ") + std::string(name);
    }
    return fail(key, "use one of " + known), choices.begin()->second;
  }

  JsonReader nested(const char *key) {
    static const Json empty = Json::object();
    const Json *value = find(key, true);
    return {value ? *value : empty, key, failure};
  }

  const Json *find(const char *key, bool required) {
    asked.push_back(key);
    auto found = object.find(key);
    if (found != object.end() && !found->is_null())
      return &*found;
    if (required)
      fail(key, "is missing; add it");
    return nullptr;
  }

  void refuseOthers() {
    if (!object.is_object())
      return;
    for (const auto &[key, value] : object.items())
      if (std::find(asked.begin(), asked.end(), key) == asked.end())
        fail(key.c_str(), "is unknown; remove it or correct its spelling");
  }

  void fail(const std::string &key, const std::string &remedy) {
    if (!failure && path.empty() && key.empty())
      failure = Error{remedy};
    if (!failure)
      failure = Error{"key '" + path + (path.empty() || key.empty() ? "" : ".") + key + "': " + remedy};
  }

private:
  const Json &object;
  std::string path;
  std::optional<Error> &failure;
  std::vector<std::string> asked;
};

TransformerShape readShape(JsonReader reader) {
  TransformerShape shape;
  shape.layers = reader.integer("layers");
  shape.hidden = reader.integer("hidden");
  shape.heads = reader.integer("heads");
  shape.kvHeads = reader.integer("kv_heads", shape.heads);
  shape.feedForward = reader.integer("feed_forward", 4 * shape.hidden);
  shape.sequence = reader.integer("sequence");
  shape.vocabulary = reader.integer("vocabulary");
  shape.experts = reader.integer("experts", 1);
  shape.topExperts = reader.integer("top_experts", 1);
  shape.gated = reader.flag("gated", false);
  shape.tied = reader.flag("tied", true);
  shape.causal = reader.flag("causal", true);
  reader.refuseOthers();
  return shape;
}

TrainingPlan readPlan(JsonReader reader, Case &c) {
  TrainingPlan plan;
  plan.tp = reader.integer("tp", 1);
  plan.pp = reader.integer("pp", 1);
  plan.dp = reader.integer("dp", 1);
  plan.cp = reader.integer("cp", 1);
  plan.ep = reader.integer("ep", 1);
  plan.microbatch = reader.integer("microbatch", 1);
  plan.globalBatch = reader.integer("global_batch");
  c.interleaveStated = !reader.says("interleave", "unstated");
  if (c.interleaveStated)
    plan.interleave = reader.integer("interleave", 1);
  plan.sequenceParallel = reader.flag("sequence_parallel", false);
  plan.schedule = reader.choice<Schedule>(
      "schedule", "1f1b",
      {{"1f1b", Schedule::OneForwardOneBackward}, {"gpipe", Schedule::GPipe}, {"zb-h1", Schedule::ZeroBubbleH1}});
  c.recomputeStated = !reader.says("recompute", "unstated");
  if (c.recomputeStated)
    plan.recompute = reader.choice<Recompute>(
        "recompute", "none",
        {{"none", Recompute::None}, {"selective", Recompute::Selective}, {"full", Recompute::Full}});
  plan.sharding = reader.choice<StateSharding>("zero", "0",
                                               {{"0", StateSharding::None},
                                                {"1", StateSharding::Optimizer},
                                                {"2", StateSharding::Gradients},
                                                {"3", StateSharding::Parameters}});
  plan.precision = reader.choice<Precision>("precision", "mixed16",
                                            {{"f32", Precision::Float32},
                                             {"mixed16", Precision::Mixed16},
                                             {"pure16", Precision::Pure16},
                                             {"mixed8", Precision::Mixed8},
                                             {"mixed4", Precision::Mixed4}});
  plan.type =
      reader.choice<machine::DType>("type", "bf16", {{"bf16", machine::DType::BF16}, {"f16", machine::DType::F16}});
  reader.refuseOthers();
  return plan;
}

} // namespace

Result<const machine::Machine *> Machines::get(const std::string &name) {
  auto found = machines.find(name);
  if (found == machines.end()) {
    Result<machine::Machine> loaded = machine::load(name);
    if (!loaded)
      return tl::unexpected<Error>(loaded.error());
    found = machines.emplace(name, std::make_unique<machine::Machine>(std::move(*loaded))).first;
  }
  return found->second.get();
}

Result<Case> readCase(const Json &line, Machines &machines) {
  std::optional<Error> failure;
  JsonReader reader(line, "", failure);
  Case result;
  if (const Json *id = reader.find("id", false))
    result.id = *id;
  std::string machineName = reader.text("machine", ""), stackName = reader.text("stack", "default");
  result.group = reader.text("group", stackName.c_str());
  result.family = reader.text("family", result.group.c_str());
  result.calibrate = reader.flag("calibrate", false);
  result.devices = reader.find("devices", false) ? reader.integer("devices") : 0;
  result.step.seconds = reader.number("seconds", 0);
  result.step.shape = readShape(reader.nested("shape"));
  result.step.plan = readPlan(reader.nested("plan"), result);
  reader.refuseOthers();
  if (machineName.empty())
    reader.fail("machine", "is missing; name a machine of machines/ or a file");
  if (result.calibrate && result.step.seconds <= 0)
    reader.fail("seconds", "is missing; a case to calibrate by needs its measured time");
  if (failure)
    return tl::unexpected<Error>(*failure);
  Result<const machine::Machine *> machine = machines.get(machineName);
  if (!machine)
    return tl::unexpected<Error>(machine.error());
  result.step.machine = *machine;
  Result<machine::Stack> stack = machine::loadStack(stackName);
  if (!stack)
    return tl::unexpected<Error>(stack.error());
  result.stack = std::move(*stack);
  return result;
}
