#include "mpopt/Machine/Machine.h"

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <unistd.h>

namespace mpopt::machine {

namespace {

/// Shortest text that reads back to the same double, and reads as a TOML float.
std::string number(double value) {
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, end.ptr);
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  return text;
}

std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (unsigned char c : text) {
    char escape[8];
    if (c == '"' || c == '\\')
      result += '\\', result += char(c);
    else if (c < 0x20 || c == 0x7f)
      std::snprintf(escape, sizeof escape, "\\u%04X", c), result += escape;
    else
      result += char(c);
  }
  return result + "\"";
}

const char *name(Algorithm algorithm) {
  switch (algorithm) {
  case Algorithm::Ring:
    return "ring";
  case Algorithm::Tree:
    return "tree";
  case Algorithm::Direct:
    return "direct";
  }
  return "";
}

void writeDevice(std::ostream &out, const DeviceType &device) {
  out << "\n[[device]]\nname = " << quoted(device.name) << "\nmemory_bytes = " << device.memoryBytes
      << "\nmemory_bandwidth = " << number(device.memoryBandwidth) << "\n";
  if (device.cacheBytes > 0)
    out << "cache_bytes = " << device.cacheBytes << "\ncache_bandwidth = " << number(device.cacheBandwidth) << "\n";
  if (device.overlap < 1)
    out << "overlap = " << number(device.overlap) << "\n";
  if (device.pricePerHour > 0)
    out << "price_per_hour = " << number(device.pricePerHour) << "\n";
  out << "launch_seconds = " << number(device.launchSeconds) << "\nvector_flops = " << number(device.vectorFlops)
      << "\n\n[device.peak]\n";
  for (DType type : kDTypes)
    if (double rate = device.peak[static_cast<size_t>(type)]; rate > 0)
      out << machine::name(type) << " = " << number(rate) << "\n";
  const MatmulModel &matmul = device.matmul;
  out << "\n[device.matmul]\nunits = " << matmul.units << "\nefficiency = " << number(matmul.efficiency);
  if (matmul.attention < 1)
    out << "\nattention = " << number(matmul.attention);
  out << "\nsmall_k = " << number(matmul.smallK) << "\ntiles = [\n";
  for (const Tile &tile : matmul.tiles)
    out << "  { m = " << tile.m << ", n = " << tile.n << ", efficiency = " << number(tile.efficiency) << " },\n";
  out << "]\n";
}

void writeLink(std::ostream &out, const Link &link) {
  out << "\n[[link]]\nname = " << quoted(link.name) << "\ncount = " << link.count
      << "\nlatency_seconds = " << number(link.latencySeconds) << "\nbandwidth = " << number(link.bandwidth) << "\n";
  if (link.totalBandwidth > 0)
    out << "total_bandwidth = " << number(link.totalBandwidth) << "\n";
  out << "algorithms = [";
  for (size_t i = 0; i < link.algorithms.size(); ++i)
    out << (i ? ", " : "") << '"' << name(link.algorithms[i]) << '"';
  out << "]\n";
}

void writeHost(std::ostream &out, const Host &host) {
  out << "\n[host]\ncores = " << host.cores << "\nmemory_bytes = " << host.memoryBytes
      << "\nmemory_bandwidth = " << number(host.memoryBandwidth) << "\n";
  if (host.cacheBytes > 0)
    out << "cache_bytes = " << host.cacheBytes << "\ncache_bandwidth = " << number(host.cacheBandwidth) << "\n";
}

} // namespace

std::string toToml(const Machine &machine) {
  std::ostringstream out;
  out << "name = " << quoted(machine.name) << "\nnote = " << quoted(machine.note) << "\n";
  for (const DeviceType &device : machine.devices)
    writeDevice(out, device);
  for (const Link &link : machine.links)
    writeLink(out, link);
  for (const Group &group : machine.groups)
    if (group.count != std::numeric_limits<int64_t>::max())
      out << "\n[[group]]\ndevice = " << quoted(machine.devices[group.device].name) << "\ncount = " << group.count
          << "\n";
  if (machine.host)
    writeHost(out, *machine.host);
  return out.str();
}

Status writeFile(const Machine &machine, const std::string &path) {
  namespace fs = std::filesystem;
  std::error_code code;
  if (fs::path parent = fs::path(path).parent_path(); !parent.empty())
    fs::create_directories(parent, code);
  // A reader must never see half a file, so the text goes to a neighbour first.
  std::string temporary = path + "." + std::to_string(getpid());
  std::ofstream out(temporary, std::ios::binary);
  out << toToml(machine);
  out.close();
  if (out)
    fs::rename(temporary, path, code);
  if (out && !code)
    return {};
  fs::remove(temporary, code);
  return error("cannot write machine file '" + path + "'; check that its folder exists and can be written");
}

} // namespace mpopt::machine
