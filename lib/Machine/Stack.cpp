#include "mpopt/Machine/Stack.h"
#include "EmbeddedMachines.h"
#include "TomlReader.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace mpopt::machine {

namespace {

constexpr StackConstant kConstants[] = {
    {"matmul", &Stack::matmul, 0.15, 0.05, 1.5},
    {"pointwise", &Stack::pointwise, 0.25, 0.05, 20},
    {"attention", &Stack::attention, 0.3, 0.02, 1.5},
    {"launch_seconds", &Stack::launchSeconds, 0.5, 1e-7, 1e-3},
    {"overlap_norm", &Stack::overlapNorm, 0.4, 1, 50},
    {"softmax_launches", &Stack::softmaxLaunches, 0.3, 0, 1000},
    {"optimizer_bytes", &Stack::optimizerBytes, 0.3, 1, 1000},
    {"microbatch_seconds", &Stack::microbatchSeconds, 1, 0, 1},
    {"step_seconds", &Stack::stepSeconds, 1, 0, 10},
    {"intra_link", &Stack::intraLink, 0.25, 0.05, 3},
    {"inter_link", &Stack::interLink, 0.25, 0.02, 3},
    {"latency", &Stack::latency, 0.4, 0, 100},
    {"tensor_overlap", &Stack::tensorOverlap, 0, 0, 1},
    {"data_overlap", &Stack::dataOverlap, 0, 0, 1},
    {"gather_exposed", &Stack::gatherExposed, 0.4, 0, 1},
    {"gradient_bytes", &Stack::gradientBytes, 0, 0, 16},
    {"communicated_bytes", &Stack::communicatedBytes, 0, 0, 8},
    {"logit_bytes", &Stack::logitBytes, 0, 0, 64},
    {"reserve_bytes", &Stack::reserveBytes, 0, 0, 1e12},
    {"activations", &Stack::activations, 0, 0.01, 10},
};

struct StackFlag {
  std::string_view key;
  bool Stack::*field;
};

constexpr StackFlag kFlags[] = {{"fused_attention", &Stack::fusedAttention},
                                {"softmax_by_four", &Stack::softmaxByFour},
                                {"recompute_stops_early", &Stack::recomputeStopsEarly},
                                {"dropout", &Stack::dropout},
                                {"padded_vocabulary", &Stack::paddedVocabulary}};

void readProfile(TomlReader &reader, Stack &stack) {
  const toml::array *entries = reader.array("profile", false);
  if (!entries)
    return;
  for (size_t i = 0; i < entries->size(); ++i) {
    const toml::table *table = entries->get(i)->as_table();
    if (!table)
      return reader.fail("profile", *entries->get(i), "write one [[profile]] table per measured layer");
    TomlReader entry = reader.nested(*table, "profile[" + std::to_string(i) + "]");
    entry.only(
        {"hidden", "heads", "feed_forward", "sequence", "tp", "microbatch", "forward_seconds", "backward_seconds"});
    stack.profile.push_back({entry.integer("hidden", 1), entry.integer("heads", 1), entry.integer("feed_forward", 1),
                             entry.integer("sequence", 1), entry.integer("tp", 1, 1), entry.integer("microbatch", 1, 1),
                             entry.number("forward_seconds"), entry.number("backward_seconds")});
  }
}

void checkKeys(const toml::table &table, TomlReader &reader, const std::string &origin) {
  for (const auto &[key, node] : table) {
    bool known = key.str() == "name" || key.str() == "note" || key.str() == "profile";
    for (const StackConstant &constant : kConstants)
      known |= key.str() == constant.key;
    for (const StackFlag &flag : kFlags)
      known |= key.str() == flag.key;
    if (!known)
      reader.set(origin + ": unknown key '" + std::string(key.str()) + "'; remove it or correct its spelling");
  }
}

void readConstant(const toml::table &table, TomlReader &reader, const StackConstant &constant, Stack &stack) {
  const toml::node *node = table.get(constant.key);
  if (!node)
    return;
  double value = reader.number(constant.key, 0, true);
  if (value < constant.low || value > constant.high) {
    std::ostringstream range;
    range << "write a number from " << constant.low << " to " << constant.high;
    return reader.fail(constant.key, *node, range.str());
  }
  stack.*constant.field = value;
}

void readFlag(const toml::table &table, TomlReader &reader, const StackFlag &flag, Stack &stack) {
  const toml::node *node = table.get(flag.key);
  if (!node)
    return;
  if (auto value = node->value_exact<bool>())
    stack.*flag.field = *value;
  else
    reader.fail(flag.key, *node, "write true or false");
}

std::string number(double value) {
  char buffer[40];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

} // namespace

std::span<const StackConstant> stackConstants() { return kConstants; }

Result<Stack> parseStack(std::string_view text, const std::string &origin) {
  toml::parse_result parsed = toml::parse(text, origin);
  if (!parsed)
    return error(origin + ":" + std::to_string(parsed.error().source().begin.line) +
                 ": not valid TOML: " + std::string(parsed.error().description()));
  std::optional<Error> failure;
  TomlReader reader(parsed.table(), "", origin, failure);
  Stack stack;
  checkKeys(parsed.table(), reader, origin);
  stack.name = reader.text("name");
  stack.note = reader.text("note", false);
  for (const StackConstant &constant : kConstants)
    readConstant(parsed.table(), reader, constant, stack);
  for (const StackFlag &flag : kFlags)
    readFlag(parsed.table(), reader, flag, stack);
  readProfile(reader, stack);
  if (failure)
    return tl::unexpected<Error>(*failure);
  return stack;
}

std::vector<std::string> shippedStacks() {
  std::vector<std::string> names;
  for (const EmbeddedMachine &stack : embeddedStacks())
    names.emplace_back(stack.name);
  return names;
}

Result<Stack> loadStack(const std::string &nameOrPath) {
  if (nameOrPath.find('/') != std::string::npos || nameOrPath.ends_with(".toml")) {
    std::ifstream in(nameOrPath, std::ios::binary);
    if (!in || std::filesystem::is_directory(nameOrPath))
      return error("cannot read stack file '" + nameOrPath + "'; check the path");
    std::ostringstream text;
    text << in.rdbuf();
    return parseStack(text.str(), nameOrPath);
  }
  std::string known;
  for (const EmbeddedMachine &stack : embeddedStacks()) {
    if (stack.name == nameOrPath)
      return parseStack(stack.toml, "stack '" + nameOrPath + "'");
    known += (known.empty() ? "" : ", ") + std::string(stack.name);
  }
  return error("unknown stack '" + nameOrPath + "'; use one of " + known + ", or the path of a stack file (.toml)");
}

std::string toToml(const Stack &stack) {
  std::ostringstream out;
  out << "name = " << toml::value<std::string>(stack.name) << "\n";
  out << "note = " << toml::value<std::string>(stack.note) << "\n";
  for (const StackConstant &constant : kConstants)
    out << constant.key << " = " << number(stack.*constant.field) << "\n";
  for (const StackFlag &flag : kFlags)
    out << flag.key << " = " << (stack.*flag.field ? "true" : "false") << "\n";
  for (const LayerProfile &layer : stack.profile)
    out << "\n[[profile]]\nhidden = " << layer.hidden << "\nheads = " << layer.heads
        << "\nfeed_forward = " << layer.feedForward << "\nsequence = " << layer.sequence << "\ntp = " << layer.tp
        << "\nmicrobatch = " << layer.microbatch << "\nforward_seconds = " << number(layer.forwardSeconds)
        << "\nbackward_seconds = " << number(layer.backwardSeconds) << "\n";
  return out.str();
}

} // namespace mpopt::machine
