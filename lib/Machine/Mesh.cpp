#include "mpopt/Machine/Mesh.h"

#include <algorithm>

namespace mpopt::machine {

int64_t Mesh::devices() const {
  int64_t count = 1;
  for (const MeshAxis &axis : axes)
    count *= axis.size;
  return count;
}

/// Splits `devices` over links[level..]; on success `perLevel` holds the factor
/// of each of these levels.
static bool split(const std::vector<Link> &links, size_t level, int64_t devices, std::vector<int64_t> &perLevel) {
  if (level == links.size())
    return devices == 1;
  for (int64_t factor = std::min(devices, links[level].count); factor >= 1; --factor) {
    if (devices % factor != 0)
      continue;
    perLevel[level] = factor;
    if (split(links, level + 1, devices / factor, perLevel))
      return true;
  }
  return false;
}

static std::vector<int64_t> primeFactors(int64_t value) {
  std::vector<int64_t> factors;
  for (int64_t p = 2; p * p <= value; ++p)
    for (; value % p == 0; value /= p)
      factors.push_back(p);
  if (value > 1)
    factors.push_back(value);
  return factors;
}

Result<Mesh> makeMesh(const Machine &machine, int64_t devices) {
  if (devices < 1)
    return error("cannot plan for " + std::to_string(devices) + " devices; ask for at least 1");
  int64_t most = machine.maxDevices();
  if (devices > most)
    return error("machine '" + machine.name + "' has " + std::to_string(most) + " devices, fewer than the " +
                 std::to_string(devices) +
                 " asked for; ask for fewer, or raise the counts in a machine "
                 "file of your own");
  std::vector<int64_t> perLevel(machine.links.size(), 1);
  if (!split(machine.links, 0, devices, perLevel))
    return error(std::to_string(devices) + " devices do not divide evenly over the groups of machine '" + machine.name +
                 "' (" + std::to_string(machine.links.front().count) + " per " + machine.links.front().name +
                 " group); ask for a multiple of that or for fewer devices");
  Mesh mesh;
  for (size_t level = perLevel.size(); level-- > 0;)
    for (int64_t prime : primeFactors(perLevel[level]))
      mesh.axes.push_back({"x" + std::to_string(mesh.axes.size()), prime, static_cast<int>(level)});
  return mesh;
}

} // namespace mpopt::machine
