#include "EmbeddedMachines.h"
#include "mpopt/Machine/Calibrate.h"
#include "mpopt/Machine/Machine.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace mpopt::machine {

static Result<Machine> loadFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path))
    return error("cannot read machine file '" + path + "'; check the path");
  std::ostringstream text;
  text << in.rdbuf();
  return parse(text.str(), path);
}

static std::string joined(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<std::string> shippedMachines() {
  std::vector<std::string> names;
  for (const EmbeddedMachine &machine : embeddedMachines())
    names.emplace_back(machine.name);
  return names;
}

std::string calibratedPath(const std::string &name) {
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/mpopt/" + name + ".toml";
  if (const char *home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/mpopt/" + name + ".toml";
  return "";
}

Result<Machine> load(const std::string &nameOrPath) {
  if (nameOrPath.find('/') != std::string::npos || nameOrPath.ends_with(".toml"))
    return loadFile(nameOrPath);
  bool measured = nameOrPath == "host" || nameOrPath == "cuda";
  if (std::string path = calibratedPath(nameOrPath); measured && !path.empty() && std::filesystem::exists(path))
    return loadFile(path);
  if (nameOrPath == "cuda")
    return error("machine 'cuda', the GPU of this machine, was not measured; run mpopt calibrate --device cuda");
  for (const EmbeddedMachine &machine : embeddedMachines())
    if (machine.name == nameOrPath)
      return parse(machine.toml, "machine '" + nameOrPath + "'");
  return error("unknown machine '" + nameOrPath + "'; use one of " + joined(shippedMachines()) +
               ", or the path of a machine file (.toml)");
}

} // namespace mpopt::machine
