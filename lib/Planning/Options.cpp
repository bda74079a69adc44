#include "mpopt/Planning/Options.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace mpopt::planning {

static constexpr int64_t kMost = int64_t(1) << 31;

std::string_view name(Role role) {
  constexpr std::string_view names[] = {"dp", "ep", "sp", "tp"};
  return names[static_cast<size_t>(role)];
}

int64_t Strategy::devices() const {
  int64_t product = 1;
  for (int64_t n : ways)
    product *= n;
  return product;
}

bool Strategy::isUneven(int64_t devices) const {
  if (stageDevices.empty())
    return devices % stages != 0;
  return std::set<int64_t>(stageDevices.begin(), stageDevices.end()).size() > 1;
}

std::string Strategy::text() const {
  std::string text;
  auto add = [&](std::string_view key, int64_t number) {
    if (number > 1)
      text += (text.empty() ? "" : ",") + std::string(key) + "=" + std::to_string(number);
  };
  if (stageDevices.empty())
    add("pp", stages);
  for (size_t stage = 0; stage < stageDevices.size(); ++stage)
    text += (stage == 0 ? "pp=" : "+") + std::to_string(stageDevices[stage]);
  add("mb", microbatches);
  for (Role role : kRoles)
    add(name(role), (*this)[role]);
  return text.empty() ? "dp=1" : text;
}

/// The number that a key of a strategy sets.
static int64_t *numberOf(Strategy &strategy, std::string_view key) {
  if (key == "pp")
    return &strategy.stages;
  if (key == "mb")
    return &strategy.microbatches;
  for (Role role : kRoles)
    if (name(role) == key)
      return &strategy[role];
  return nullptr;
}

/// A number from 1 on that is all of `text`.
static bool parseNumber(std::string_view text, int64_t &number) {
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc() && end == text.data() + text.size() && number >= 1 && number <= kMost;
}

/// "4+3": the devices of each stage. The part that is no number; empty where all are.
static std::string_view parseStages(std::string_view text, Strategy &strategy) {
  for (std::string_view rest = text;;) {
    size_t plus = rest.find('+');
    std::string_view part = rest.substr(0, plus);
    if (!parseNumber(part, strategy.stageDevices.emplace_back()))
      return part.empty() ? text : part;
    if (plus == std::string_view::npos)
      break;
    rest.remove_prefix(plus + 1);
  }
  strategy.stages = static_cast<int64_t>(strategy.stageDevices.size());
  return "";
}

static std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

Result<Strategy> parseStrategy(std::string_view text) {
  auto bad = [&](const std::string &what) {
    return error(
        "strategy '" + std::string(text) + "': " + what +
        "; write it like dp=2,tp=4, with the roles dp, ep, sp and tp, pp for pipeline stages (pp=2, or pp=4+3 for "
        "the devices of each) and mb for microbatches");
  };
  Strategy strategy;
  strategy.hasRoles = false;
  std::set<std::string_view> seen;
  for (std::string_view rest = text;;) {
    size_t comma = rest.find(',');
    std::string_view item = trim(rest.substr(0, comma));
    size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      return bad("'" + std::string(item) + "' gives no number");
    std::string_view key = trim(item.substr(0, equals)), value = trim(item.substr(equals + 1));
    int64_t *number = numberOf(strategy, key);
    constexpr std::string_view kOfTraining[] = {"cp", "interleave", "zero", "recompute", "schedule"};
    if (std::ranges::find(kOfTraining, key) != std::end(kOfTraining))
      return error("strategy '" + std::string(text) + "': '" + std::string(key) +
                   "' is for training plans (mpopt plan --train); leave it out");
    if (!number)
      return bad("there is no role '" + std::string(key) + "'");
    if (!seen.insert(key).second)
      return bad("'" + std::string(key) + "' occurs twice");
    if (key == "pp" && value.find('+') != std::string_view::npos) {
      if (std::string_view wrong = parseStages(value, strategy); !wrong.empty())
        return bad("'" + std::string(wrong) + "' is not a number from 1 on");
    } else if (!parseNumber(value, *number)) {
      return bad("'" + std::string(value) + "' is not a number from 1 on");
    }
    strategy.hasRoles |= key != "pp" && key != "mb";
    if (strategy.devices() > kMost || strategy.devices() * strategy.stages > kMost)
      return bad("it needs too many devices");
    if (comma == std::string_view::npos)
      return strategy;
    rest.remove_prefix(comma + 1);
  }
}

} // namespace mpopt::planning
