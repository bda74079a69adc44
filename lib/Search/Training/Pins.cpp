#include "Frames.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace mpopt::search {

using cost::Recompute;
using cost::Schedule;
using cost::StateSharding;

namespace {

struct NumberKey {
  std::string_view key;
  std::optional<int64_t> LayoutPins::*field;
};

constexpr NumberKey kNumbers[] = {{"dp", &LayoutPins::dp},
                                  {"tp", &LayoutPins::tp},
                                  {"pp", &LayoutPins::pp},
                                  {"cp", &LayoutPins::cp},
                                  {"ep", &LayoutPins::ep},
                                  {"mb", &LayoutPins::microbatch},
                                  {"interleave", &LayoutPins::interleave}};

Status readNumber(std::string_view key, std::string_view value, std::optional<int64_t> &field) {
  int64_t number = 0;
  auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (problem != std::errc() || end != value.data() + value.size() || number < 1 || number > int64_t(1) << 40)
    return error(std::string(key) + "=" + std::string(value) + ": give a whole number of at least 1");
  field = number;
  return {};
}

/// One of `choices`, by its name.
template <typename T>
Status readChoice(std::string_view key, std::string_view value, std::optional<T> &field,
                  std::initializer_list<T> choices) {
  std::string known;
  for (T choice : choices) {
    if (value == cost::name(choice)) {
      field = choice;
      return {};
    }
    known += (known.empty() ? "" : ", ") + std::string(cost::name(choice));
  }
  return error(std::string(key) + "=" + std::string(value) + ": use one of " + known);
}

Status readPart(std::string_view key, std::string_view value, LayoutPins &pins) {
  for (const NumberKey &number : kNumbers)
    if (number.key == key)
      return readNumber(key, value, pins.*number.field);
  if (key == "zero")
    return readChoice(
        key, value, pins.sharding,
        {StateSharding::None, StateSharding::Optimizer, StateSharding::Gradients, StateSharding::Parameters});
  if (key == "recompute")
    return readChoice(key, value, pins.recompute, {Recompute::None, Recompute::Selective, Recompute::Full});
  if (key == "schedule")
    return readChoice(key, value, pins.schedule,
                      {Schedule::GPipe, Schedule::OneForwardOneBackward, Schedule::ZeroBubbleH1});
  if (key == "sp")
    return error("'sp' is for inference plans; training splits sequences by cp");
  return error("'" + std::string(key) +
               "' is unknown; it has dp, tp, pp, cp, ep, mb, interleave, zero, recompute and schedule");
}

} // namespace

Result<LayoutPins> parseLayoutPins(std::string_view text) {
  LayoutPins pins;
  std::vector<std::string_view> seen;
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    size_t equals = part.find('=');
    if (equals == std::string_view::npos)
      return error("'" + std::string(part) + "' is no KEY=VALUE");
    std::string_view key = part.substr(0, equals);
    if (std::find(seen.begin(), seen.end(), key) != seen.end())
      return error(std::string(key) + " is given twice");
    seen.push_back(key);
    if (Status status = readPart(key, part.substr(equals + 1), pins); !status)
      return tl::unexpected<Error>(status.error());
  }
  return pins;
}

namespace {

/// The least layout that has what is pinned: what does not divide here does not with more of the rest either.
cost::TrainingPlan leastPlan(const TrainingQuery &query) {
  const LayoutPins &pins = query.pins;
  cost::TrainingPlan plan;
  plan.tp = pins.tp.value_or(1);
  plan.pp = pins.pp.value_or(1);
  plan.cp = pins.cp.value_or(1);
  plan.ep = pins.ep.value_or(1);
  plan.dp = pins.dp.value_or(plan.ep);
  plan.microbatch = pins.microbatch.value_or(1);
  plan.interleave = pins.interleave.value_or(1);
  plan.globalBatch = query.globalBatch;
  return plan;
}

/// "dp=2,tp=4", those of the four that are pinned.
std::string sharesText(const LayoutPins &pins) {
  std::string text;
  for (const NumberKey &number : kNumbers)
    if (number.key == "dp" || number.key == "tp" || number.key == "pp" || number.key == "cp")
      if (const auto &value = pins.*number.field)
        text += (text.empty() ? "" : ",") + std::string(number.key) + "=" + std::to_string(*value);
  return text;
}

} // namespace

Status checkPins(const TrainingQuery &query) {
  const LayoutPins &pins = query.pins;
  cost::TrainingPlan plan = leastPlan(query);
  if (Status status = cost::check(query.shape, plan); !status)
    return status;
  int64_t devices = plan.devices();
  bool all = pins.dp && pins.tp && pins.pp && pins.cp;
  if (query.devices % devices || (all && query.devices != devices))
    return error("training plan: " + sharesText(pins) + " make " + std::to_string(devices) + " devices, " +
                 (query.devices % devices ? "which do not divide the " : "not the ") + std::to_string(query.devices) +
                 " there are; change one");
  if (query.shape.sequence % plan.cp)
    return error("training plan: sequence is " + std::to_string(query.shape.sequence) +
                 ", which cp = " + std::to_string(plan.cp) + " does not divide; change one");
  bool takesTurns = pins.schedule.value_or(Schedule::OneForwardOneBackward) == Schedule::OneForwardOneBackward;
  if (plan.interleave > 1 && !takesTurns)
    return error("training plan: interleave=" + std::to_string(plan.interleave) +
                 " is only known to the 1f1b schedule, "
                 "not to " +
                 std::string(cost::name(*pins.schedule)) + "; leave one of them out");
  if (plan.interleave > 1 && pins.pp == 1)
    return error("training plan: interleave=" + std::to_string(plan.interleave) +
                 " gives several chunks of layers to each of several stages, but pp is 1; force more stages");
  return {};
}

} // namespace mpopt::search
