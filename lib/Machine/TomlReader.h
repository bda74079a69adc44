#ifndef MPOPT_LIB_MACHINE_TOMLREADER_H
#define MPOPT_LIB_MACHINE_TOMLREADER_H

#include "mpopt/Support/Result.h"
#include "mpopt/Support/Toml.h"

#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

namespace mpopt::machine {

/// Reads typed, checked values out of one TOML table. The first problem is kept
/// in `failure` and later reads return harmless values, so that a reader is one
/// straight list of fields.
class TomlReader {
public:
  TomlReader(const toml::table &table, std::string path, std::string origin, std::optional<Error> &failure)
      : table(table), path(std::move(path)), origin(std::move(origin)), failure(failure) {}

  std::string text(std::string_view key, bool required = true) {
    const toml::node *node = find(key, required);
    if (!node)
      return "";
    if (auto value = node->value_exact<std::string>())
      return *value;
    return fail(key, *node, "write a string in quotes"), "";
  }

  /// A finite number > `above`, or >= it when `inclusive`.
  double number(std::string_view key, double above = 0, bool inclusive = false, std::optional<double> fallback = {}) {
    const toml::node *node = find(key, !fallback);
    if (!node)
      return fallback.value_or(1);
    std::optional<double> value;
    if (node->is_number())
      value = node->value<double>();
    if (!value)
      return fail(key, *node, "write a number"), 1;
    if (!std::isfinite(*value) || *value < above || (!inclusive && *value == above))
      return fail(key, *node,
                  std::string("write a finite number ") + (inclusive ? "of at least " : "greater than ") +
                      std::to_string(int64_t(above))),
             1;
    return *value;
  }

  int64_t integer(std::string_view key, int64_t least, std::optional<int64_t> fallback = {}) {
    const toml::node *node = find(key, !fallback);
    if (!node)
      return fallback.value_or(least);
    auto value = node->value_exact<int64_t>();
    if (!value || *value < least)
      return fail(key, *node, "write a whole number of at least " + std::to_string(least)), least;
    return *value;
  }

  /// A nested table under `key`, or nullptr.
  const toml::table *nestedTable(std::string_view key, bool required) {
    const toml::node *node = find(key, required);
    if (node && !node->is_table())
      return fail(key, *node, "write a table"), nullptr;
    return node ? node->as_table() : nullptr;
  }

  const toml::array *array(std::string_view key, bool required) {
    const toml::node *node = find(key, required);
    if (node && (!node->is_array() || node->as_array()->empty()))
      return fail(key, *node, "write a list with at least one entry"), nullptr;
    return node ? node->as_array() : nullptr;
  }

  TomlReader nested(const toml::table &inner, const std::string &key) { return {inner, full(key), origin, failure}; }

  /// Refuses keys that are not listed: a misspelt optional key must not pass
  /// silently.
  void only(std::initializer_list<std::string_view> known) {
    for (const auto &[key, node] : table) {
      bool found = false;
      for (std::string_view name : known)
        found |= key.str() == name;
      if (!found)
        set(origin + ": unknown key '" + full(key.str()) + "'; remove it or correct its spelling");
    }
  }

  void fail(std::string_view key, const toml::node &node, const std::string &remedy) {
    std::string value;
    if (node.is_table() || node.is_array())
      value = node.is_table() ? "a table" : "a list";
    else
      node.visit([&](const auto &leaf) {
        if constexpr (toml::is_value<decltype(leaf)>) {
          std::ostringstream out;
          out << leaf;
          value = out.str();
        }
      });
    set(origin + ": key '" + full(key) + "' is " + value + "; " + remedy);
  }

  void refuse(std::string_view key, const std::string &why) { set(origin + ": key '" + full(key) + "' is " + why); }

  void set(std::string message) {
    if (!failure)
      failure = Error{std::move(message)};
  }

private:
  std::string full(std::string_view key) const {
    return path.empty() ? std::string(key) : path + "." + std::string(key);
  }

  const toml::node *find(std::string_view key, bool required) {
    const toml::node *node = table.get(key);
    if (!node && required)
      set(origin + ": key '" + full(key) + "' is missing; add it (machines/*.toml show complete files)");
    return node;
  }

  const toml::table &table;
  std::string path;
  std::string origin;
  std::optional<Error> &failure;
};

} // namespace mpopt::machine

#endif // MPOPT_LIB_MACHINE_TOMLREADER_H
