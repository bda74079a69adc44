#ifndef MPOPT_MACHINE_MACHINE_H
#define MPOPT_MACHINE_MACHINE_H

#include "mpopt/Machine/DType.h"
#include "mpopt/Support/Result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mpopt::machine {

/// One tile shape of a device's matrix kernels, and the share of the sustained
/// rate that it reaches.
struct Tile {
  int64_t m = 0;
  int64_t n = 0;
  double efficiency = 1;
};

/// Parameters of cost::matmulSeconds.
struct MatmulModel {
  std::vector<Tile> tiles;
  int64_t units = 1;     ///< SMs of a GPU, or cores that one rank computes on.
  double efficiency = 1; ///< Sustained share of the peak on large matrices.
  double attention = 1;  ///< Share of that rate that attention reaches, which has a softmax between its products.
  double smallK = 0;     ///< A depth of k runs at 1/(1 + smallK/k) of the sustained rate.
};

struct DeviceType {
  std::string name;
  std::array<double, kDTypes.size()> peak{}; ///< Matrix flop/s by DType; 0 where the device has no such unit.
  double vectorFlops = 0;                    ///< flop/s outside matrix kernels.
  int64_t memoryBytes = 0;                   ///< What a plan may use on one device.
  double memoryBandwidth = 0;                ///< B/s.
  int64_t cacheBytes = 0;                    ///< Last cache that one device can count on; 0 where
                                             ///< it is not modelled.
  double cacheBandwidth = 0;                 ///< B/s out of that cache.
  double overlap = 1;       ///< Share of a kernel's memory traffic that hides behind its arithmetic, or of
                            ///< its arithmetic behind its traffic: of the shorter of the two.
  double launchSeconds = 0; ///< Cost of starting one kernel.
  double pricePerHour = 0;  ///< Of one device, in the user's currency; 0 where it is not known.
  MatmulModel matmul;

  /// Matrix flop/s for `type`; where the device has no such unit, the rate of
  /// the next wider type that it has.
  double peakFlops(DType type) const;
};

/// How a collective moves data over one link level.
enum class Algorithm : uint8_t { Ring, Tree, Direct };

/// One level of the interconnect. Level 0 joins devices; level i joins groups
/// of level i - 1.
struct Link {
  std::string name;
  int64_t count = 1;         ///< Members per group: devices on level 0, inner groups above.
  double latencySeconds = 0; ///< One message, one hop.
  double bandwidth = 0;      ///< B/s one device can send over this level while all others do too.
  double totalBandwidth = 0; ///< B/s of one whole group of this level (a shared
                             ///< bus); 0 where there is no such limit.
  std::vector<Algorithm> algorithms = {Algorithm::Ring, Algorithm::Tree, Algorithm::Direct};
};

/// A number of devices of one kind. A mesh lies within one group; the stages of a pipeline may lie in several.
struct Group {
  size_t device = 0; ///< Index into Machine::devices.
  int64_t count = 0;
};

/// What ranks share when all devices of a machine are threads or processes of
/// one host.
struct Host {
  int64_t cores = 1;
  int64_t memoryBytes = 0;
  double memoryBandwidth = 0; ///< B/s of all cores together.
  int64_t cacheBytes = 0;     ///< What can be counted on of the cache that all cores share; 0 where it is not modelled.
  double cacheBandwidth = 0;  ///< B/s of one core out of that cache.
};

struct Machine {
  std::string name;
  std::string note; ///< Where the numbers come from; shown in reports.
  std::vector<DeviceType> devices;
  std::vector<Link> links; ///< Inner to outer.
  std::vector<Group> groups;
  std::optional<Host> host;

  const DeviceType &device() const { return devices[groups.front().device]; }
  /// Most devices that a mesh may have: those of the first group.
  int64_t maxDevices() const;
  /// Those of all groups.
  int64_t allDevices() const;
};

/// Reads a machine by name (a shipped one, see shippedMachines()) or from a
/// TOML file (a path with a '/' or ending in
/// ".toml"). "host" is this host as calibrated earlier, or shipped defaults
/// where it never was; the note says which. "cuda" is this machine's GPU as
/// calibrated earlier. Errors name the file, the key, the
/// value and the remedy.
Result<Machine> load(const std::string &nameOrPath);

/// Reads a machine from TOML text; `origin` names it in errors.
Result<Machine> parse(std::string_view toml, const std::string &origin);

/// TOML text that parse() reads back to an equal machine; the same bytes for
/// the same machine.
std::string toToml(const Machine &machine);

/// Writes toToml(machine) to `path`, whole or not at all; creates missing
/// folders.
Status writeFile(const Machine &machine, const std::string &path);

/// Names of the machines built into the program, sorted.
std::vector<std::string> shippedMachines();

/// The machine with one of its groups alone. Devices are numbered group by group.
Machine forGroup(const Machine &machine, size_t group);

/// The machine as each of `devices` ranks sees it. On a host the ranks share
/// cores, memory and memory bandwidth, so more ranks than cores compute, copy
/// and synchronise slower in proportion. Elsewhere the machine itself. To be
/// applied once, to a machine as loaded; `devices` >= 1.
Machine forDevices(const Machine &machine, int64_t devices);

} // namespace mpopt::machine

#endif // MPOPT_MACHINE_MACHINE_H
