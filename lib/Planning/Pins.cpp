#include "mpopt/Planning/Options.h"
#include "mpopt/Support/Toml.h"
#include "nlohmann/json.hpp"

#include <sstream>

using nlohmann::json;

namespace mpopt::planning {
namespace {

/// The file as JSON, whichever way it is written; there is one reader then.
Result<json> toJson(const std::string &text, const std::string &file) {
  std::string source = text;
  if (file.ends_with(".toml")) {
    toml::parse_result parsed = toml::parse(text, file);
    if (!parsed) {
      std::ostringstream where;
      where << parsed.error().source().begin;
      return error("pin file '" + file + "' is not TOML: " + std::string(parsed.error().description()) + " at " +
                   where.str());
    }
    std::ostringstream stream;
    stream << toml::json_formatter(parsed.table());
    source = stream.str();
  }
  json value = json::parse(source, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded())
    return error("pin file '" + file + "' is not JSON; a pin file holds JSON, or TOML where its name ends in .toml");
  return value;
}

Result<DimPin> readDim(const json &value, const std::string &where) {
  auto bad = [&] {
    return error(where +
                 ": a dimension's sharding is a list of mesh axes, like [\"x0\"] or [], or a number of devices, not " +
                 value.dump(-1, ' ', false, json::error_handler_t::replace));
  };
  DimPin pin;
  if (value.is_number_integer()) {
    pin.ways = value.get<int64_t>();
    return *pin.ways >= 1 ? Result<DimPin>(pin) : bad();
  }
  if (!value.is_array())
    return bad();
  for (const json &axis : value) {
    if (!axis.is_string())
      return bad();
    pin.axes.push_back(axis.get<std::string>());
  }
  return pin;
}

Result<Pin> readPin(const json &value, const std::string &where) {
  if (!value.is_object() || !value.contains("name") || !value["name"].is_string() || !value.contains("sharding") ||
      !value["sharding"].is_array())
    return error(where + ": a pin has a \"name\" and a list \"sharding\" with one entry per dimension");
  for (const auto &[key, unused] : value.items())
    if (key != "name" && key != "sharding")
      return error(where + ": there is no key '" + key + "'; a pin has \"name\" and \"sharding\"");
  Pin pin{value["name"].get<std::string>(), {}};
  for (const json &dim : value["sharding"]) {
    Result<DimPin> read = readDim(dim, where);
    if (!read)
      return tl::make_unexpected(read.error());
    pin.dims.push_back(std::move(*read));
  }
  return pin;
}

} // namespace

Result<std::vector<Pin>> parsePins(const std::string &text, const std::string &file) {
  Result<json> root = toJson(text, file);
  if (!root)
    return tl::make_unexpected(root.error());
  if (!root->is_object() || root->size() != 1 || !root->contains("pin") || !(*root)["pin"].is_array())
    return error("pin file '" + file + "': its one key is \"pin\", a list of pins");
  std::vector<Pin> pins;
  for (const json &value : (*root)["pin"]) {
    Result<Pin> pin = readPin(value, "pin file '" + file + "', pin " + std::to_string(pins.size() + 1));
    if (!pin)
      return tl::make_unexpected(pin.error());
    pins.push_back(std::move(*pin));
  }
  return pins;
}

} // namespace mpopt::planning
