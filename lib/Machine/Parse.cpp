#include "TomlReader.h"
#include "mpopt/Machine/Machine.h"

namespace mpopt::machine {

namespace {

std::optional<Algorithm> parseAlgorithm(std::string_view name) {
  if (name == "ring")
    return Algorithm::Ring;
  if (name == "tree")
    return Algorithm::Tree;
  if (name == "direct")
    return Algorithm::Direct;
  return std::nullopt;
}

/// Calls `body(reader of the entry, index)` for each table in the list under
/// `key`.
template <typename Body> void eachTable(TomlReader &reader, const std::string &key, bool required, Body body) {
  const toml::array *entries = reader.array(key, required);
  if (!entries)
    return;
  for (size_t i = 0; i < entries->size(); ++i) {
    const toml::table *entry = entries->get(i)->as_table();
    if (!entry)
      return reader.fail(key, *entries->get(i), "write one [[" + key + "]] table per entry");
    TomlReader inner = reader.nested(*entry, key + "[" + std::to_string(i) + "]");
    body(inner, i);
  }
}

void readPeaks(TomlReader reader, const toml::table &table, DeviceType &device) {
  for (const auto &[key, node] : table) {
    std::optional<DType> type = parseDType(key.str());
    if (!type)
      return reader.fail(key.str(), node,
                         "no such element type; use f64, f32, f16, bf16, f8, f4, i64, "
                         "i32, i16, i8, i4 or bool");
    device.peak[static_cast<size_t>(*type)] = reader.number(key.str());
  }
}

MatmulModel readMatmul(TomlReader reader) {
  MatmulModel model;
  reader.only({"units", "efficiency", "attention", "small_k", "tiles"});
  model.units = reader.integer("units", 1);
  model.efficiency = reader.number("efficiency");
  model.attention = reader.number("attention", 0, false, 1.0);
  model.smallK = reader.number("small_k", 0, true);
  eachTable(reader, "tiles", true, [&](TomlReader &tile, size_t) {
    tile.only({"m", "n", "efficiency"});
    model.tiles.push_back({tile.integer("m", 1), tile.integer("n", 1), tile.number("efficiency")});
  });
  return model;
}

DeviceType readDevice(TomlReader &reader) {
  DeviceType device;
  reader.only({"name", "memory_bytes", "memory_bandwidth", "cache_bytes", "cache_bandwidth", "overlap",
               "launch_seconds", "price_per_hour", "vector_flops", "peak", "matmul"});
  device.name = reader.text("name");
  device.memoryBytes = reader.integer("memory_bytes", 1);
  device.memoryBandwidth = reader.number("memory_bandwidth");
  device.cacheBytes = reader.integer("cache_bytes", 0, 0);
  device.cacheBandwidth = reader.number("cache_bandwidth", 0, false, device.memoryBandwidth);
  device.overlap = reader.number("overlap", 0, true, 1.0);
  if (device.overlap > 1)
    reader.refuse("overlap", "over 1; give a share between 0 and 1 of the traffic that hides behind arithmetic");
  device.launchSeconds = reader.number("launch_seconds", 0, true);
  device.pricePerHour = reader.number("price_per_hour", 0, true, 0.0);
  device.vectorFlops = reader.number("vector_flops");
  if (const toml::table *peaks = reader.nestedTable("peak", true))
    readPeaks(reader.nested(*peaks, "peak"), *peaks, device);
  if (const toml::table *matmul = reader.nestedTable("matmul", true))
    device.matmul = readMatmul(reader.nested(*matmul, "matmul"));
  return device;
}

Link readLink(TomlReader &reader) {
  Link link;
  reader.only({"name", "count", "latency_seconds", "bandwidth", "total_bandwidth", "algorithms"});
  link.name = reader.text("name");
  link.count = reader.integer("count", 1);
  link.latencySeconds = reader.number("latency_seconds");
  link.bandwidth = reader.number("bandwidth");
  link.totalBandwidth = reader.number("total_bandwidth", 0, false, 0.0);
  const toml::array *names = reader.array("algorithms", false);
  if (!names)
    return link;
  link.algorithms.clear();
  for (const toml::node &node : *names) {
    std::optional<Algorithm> algorithm = parseAlgorithm(node.value_or(std::string_view()));
    if (!algorithm)
      reader.fail("algorithms", *names, "list only \"ring\", \"tree\" and \"direct\"");
    else
      link.algorithms.push_back(*algorithm);
  }
  return link;
}

Host readHost(TomlReader reader) {
  reader.only({"cores", "memory_bytes", "memory_bandwidth", "cache_bytes", "cache_bandwidth"});
  Host host{reader.integer("cores", 1), reader.integer("memory_bytes", 1), reader.number("memory_bandwidth")};
  host.cacheBytes = reader.integer("cache_bytes", 0, 0);
  host.cacheBandwidth = reader.number("cache_bandwidth", 0, false, host.memoryBandwidth);
  return host;
}

void readGroups(TomlReader &reader, Machine &machine) {
  eachTable(reader, "group", false, [&](TomlReader &entry, size_t) {
    entry.only({"device", "count"});
    std::string name = entry.text("device");
    size_t device = 0;
    while (device < machine.devices.size() && machine.devices[device].name != name)
      ++device;
    if (device == machine.devices.size())
      entry.refuse("device", "'" + name + "', which no [[device]] defines; define it or correct the name");
    machine.groups.push_back({device, entry.integer("count", 1)});
  });
  if (machine.groups.empty())
    machine.groups.push_back({0, std::numeric_limits<int64_t>::max()});
}

} // namespace

Result<Machine> parse(std::string_view toml, const std::string &origin) {
  toml::parse_result parsed = toml::parse(toml, origin);
  if (!parsed)
    return error(origin + ":" + std::to_string(parsed.error().source().begin.line) +
                 ": not valid TOML: " + std::string(parsed.error().description()));
  std::optional<Error> failure;
  TomlReader reader(parsed.table(), "", origin, failure);
  Machine machine;
  reader.only({"name", "note", "device", "link", "group", "host"});
  machine.name = reader.text("name");
  machine.note = reader.text("note", false);
  eachTable(reader, "device", true, [&](TomlReader &entry, size_t) { machine.devices.push_back(readDevice(entry)); });
  eachTable(reader, "link", true, [&](TomlReader &entry, size_t) { machine.links.push_back(readLink(entry)); });
  readGroups(reader, machine);
  if (const toml::table *host = reader.nestedTable("host", false))
    machine.host = readHost(reader.nested(*host, "host"));
  double devices = 1;
  for (const Link &link : machine.links)
    devices *= double(link.count);
  if (devices > 1e9)
    reader.set(origin + ": the links' counts multiply to over 10^9 devices; lower key 'count'");
  if (failure)
    return tl::unexpected<Error>(*failure);
  return machine;
}

} // namespace mpopt::machine
