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

std::vector<int64_t> Strategy::sizes() const {
  if (!stageDevices.empty() || !hasRoles)
    return stageDevices;
  std::vector<int64_t> result;
  for (int64_t stage = 0; stage < stages; ++stage)
    result.push_back(ofStage(stage).devices());
  return result;
}

Strategy Strategy::ofStage(size_t stage) const {
  Strategy result;
  result.hasRoles = hasRoles;
  for (size_t role = 0; role < kRoles.size(); ++role)
    result.ways[role] = stageWays[role].empty() ? ways[role] : stageWays[role][stage];
  return result;
}

bool Strategy::isUneven(int64_t devices) const {
  if (std::ranges::any_of(stageWays, [](const auto &list) { return !list.empty(); }))
    return true;
  if (stageDevices.empty())
    return devices % stages != 0;
  return std::set<int64_t>(stageDevices.begin(), stageDevices.end()).size() > 1;
}

std::string Strategy::text() const {
  std::string text;
  auto add = [&](std::string_view key, int64_t number, const std::vector<int64_t> &list) {
    if (list.empty() && number == 1)
      return;
    text += (text.empty() ? "" : ",") + std::string(key) + "=";
    if (list.empty())
      text += std::to_string(number);
    for (size_t stage = 0; stage < list.size(); ++stage)
      text += (stage == 0 ? "" : "+") + std::to_string(list[stage]);
  };
  add("pp", stages, stageDevices);
  add("mb", microbatches, {});
  for (Role role : kRoles)
    add(name(role), (*this)[role], stageWays[static_cast<size_t>(role)]);
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

/// "4+3": a number per stage. The part that is no number; empty where all are.
static std::string_view parseList(std::string_view text, std::vector<int64_t> &numbers) {
  for (std::string_view rest = text;;) {
    size_t plus = rest.find('+');
    std::string_view part = rest.substr(0, plus);
    if (!parseNumber(part, numbers.emplace_back()))
      return part.empty() ? text : part;
    if (plus == std::string_view::npos)
      return "";
    rest.remove_prefix(plus + 1);
  }
}

/// The list that a key of a strategy may set.
static std::vector<int64_t> *listOf(Strategy &strategy, std::string_view key) {
  if (key == "pp")
    return &strategy.stageDevices;
  for (Role role : kRoles)
    if (name(role) == key)
      return &strategy.stageWays[static_cast<size_t>(role)];
  return nullptr;
}

/// What is wrong with the lists of roles; empty where nothing is. A list of equal numbers becomes one number.
static std::string settleLists(Strategy &strategy) {
  for (Role role : kRoles) {
    std::vector<int64_t> &list = strategy.stageWays[static_cast<size_t>(role)];
    if (list.empty())
      continue;
    if (static_cast<int64_t>(list.size()) != strategy.stages)
      return "'" + std::string(name(role)) + "' has " + std::to_string(list.size()) + " numbers for " +
             std::to_string(strategy.stages) + " stage(s)";
    if (std::ranges::count(list, list.front()) == strategy.stages) {
      strategy[role] = list.front();
      list.clear();
    }
  }
  // Only lists remain to be checked.
  int64_t sum = 0;
  bool hasLists = std::ranges::any_of(strategy.stageWays, [](const auto &list) { return !list.empty(); });
  for (int64_t stage = 0; hasLists && stage < strategy.stages; ++stage) {
    int64_t product = 1;
    for (int64_t number : strategy.ofStage(stage).ways)
      product = std::min(kMost, product) * number; // below 2^62
    sum = std::min(kMost, sum) + std::min(kMost, product);
    if (product > kMost || sum > kMost)
      return "it needs too many devices";
  }
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
        "the devices of each; then tp=4+3 is possible, too) and mb for microbatches");
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
    std::vector<int64_t> *list = value.find('+') != std::string_view::npos ? listOf(strategy, key) : nullptr;
    if (list) {
      if (std::string_view wrong = parseList(value, *list); !wrong.empty())
        return bad("'" + std::string(wrong) + "' is not a number from 1 on");
      if (key == "pp")
        strategy.stages = static_cast<int64_t>(list->size());
    } else if (!parseNumber(value, *number)) {
      return bad("'" + std::string(value) + "' is not a number from 1 on");
    }
    strategy.hasRoles |= key != "pp" && key != "mb";
    if (strategy.devices() > kMost || strategy.devices() * strategy.stages > kMost)
      return bad("it needs too many devices");
    if (comma == std::string_view::npos) {
      if (std::string wrong = settleLists(strategy); !wrong.empty())
        return bad(wrong);
      return strategy;
    }
    rest.remove_prefix(comma + 1);
  }
}

} // namespace mpopt::planning
