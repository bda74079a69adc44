#include "mpopt/Planning/Options.h"

#include <charconv>

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
  for (Role role : kRoles)
    if ((*this)[role] > 1)
      text += (text.empty() ? "" : ",") + std::string(name(role)) + "=" + std::to_string((*this)[role]);
  return text.empty() ? "dp=1" : text;
}

static std::optional<Role> parseRole(std::string_view text) {
  for (Role role : kRoles)
    if (name(role) == text)
      return role;
  return std::nullopt;
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
                 "; write it like dp=2,tp=4, with the roles dp, ep, sp and tp");
  };
  Strategy strategy;
  std::array<bool, kRoles.size()> seen{};
  for (std::string_view rest = text;;) {
    size_t comma = rest.find(',');
    std::string_view item = trim(rest.substr(0, comma));
    size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      return bad("'" + std::string(item) + "' gives no number of devices");
    std::string_view key = trim(item.substr(0, equals)), value = trim(item.substr(equals + 1));
    std::optional<Role> role = parseRole(key);
    if (!role)
      return bad("there is no role '" + std::string(key) + "'");
    if (std::exchange(seen[static_cast<size_t>(*role)], true))
      return bad("'" + std::string(key) + "' occurs twice");
    int64_t ways = 0;
    auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), ways);
    if (code != std::errc() || end != value.data() + value.size() || ways < 1 || ways > kMost)
      return bad("'" + std::string(value) + "' is not a number of devices");
    strategy[*role] = ways;
    if (strategy.devices() > kMost)
      return bad("it needs too many devices");
    if (comma == std::string_view::npos)
      return strategy;
    rest.remove_prefix(comma + 1);
  }
}

} // namespace mpopt::planning
