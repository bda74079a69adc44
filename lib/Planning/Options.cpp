#include "mpopt/Planning/Options.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace mpopt::planning {

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

std::string Strategy::text() const {
  std::string text;
  auto add = [&](std::string_view key, int64_t number) {
    if (number > 1)
      text += (text.empty() ? "" : ",") + std::string(key) + "=" + std::to_string(number);
  };
  add("pp", stages);
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

static std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

Result<Strategy> parseStrategy(std::string_view text) {
  constexpr int64_t kMost = int64_t(1) << 31;
  auto bad = [&](const std::string &what) {
    return error("strategy '" + std::string(text) + "': " + what +
                 "; write it like dp=2,tp=4, with the roles dp, ep, sp and tp, pp for pipeline stages and mb for "
                 "microbatches");
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
    auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), *number);
    if (code != std::errc() || end != value.data() + value.size() || *number < 1 || *number > kMost)
      return bad("'" + std::string(value) + "' is not a number from 1 on");
    strategy.hasRoles |= key != "pp" && key != "mb";
    if (strategy.devices() > kMost || strategy.devices() * strategy.stages > kMost)
      return bad("it needs too many devices");
    if (comma == std::string_view::npos)
      return strategy;
    rest.remove_prefix(comma + 1);
  }
}

} // namespace mpopt::planning
