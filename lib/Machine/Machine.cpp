#include "mpopt/Machine/Machine.h"

#include <algorithm>

namespace mpopt::machine {

static DType nextWider(DType type) {
  switch (type) {
  case DType::Bool:
  case DType::I4:
    return DType::I8;
  case DType::I8:
    return DType::I16;
  case DType::I16:
    return DType::I32;
  case DType::F4:
    return DType::F8;
  case DType::F8:
    return DType::BF16;
  case DType::F16:
  case DType::BF16:
  case DType::I32:
    return DType::F32;
  case DType::F32:
  case DType::I64:
  case DType::F64:
    return DType::F64;
  }
  return DType::F64;
}

double DeviceType::peakFlops(DType type) const {
  double rate = peak[static_cast<size_t>(type)];
  if (rate > 0)
    return rate;
  DType wider = nextWider(type);
  return wider == type ? vectorFlops : peakFlops(wider);
}

int64_t Machine::maxDevices() const {
  int64_t count = 1;
  for (const Link &link : links)
    count *= link.count;
  return std::min(count, groups.front().count);
}

int64_t Machine::allDevices() const {
  int64_t count = 0;
  for (const Group &group : groups)
    count += group.count;
  return count;
}

Machine forGroup(const Machine &machine, size_t group) {
  Machine result = machine;
  result.groups = {machine.groups[group]};
  return result;
}

static void share(DeviceType &device, const Host &host, int64_t devices) {
  double slowdown = std::max(1.0, double(devices) / double(host.cores));
  for (double &rate : device.peak)
    rate /= slowdown;
  device.vectorFlops /= slowdown;
  device.cacheBandwidth /= slowdown;
  device.launchSeconds *= slowdown;
  device.memoryBandwidth = std::min(device.memoryBandwidth, host.memoryBandwidth / double(devices));
  device.memoryBytes = std::min(device.memoryBytes, host.memoryBytes / devices);
}

Machine forDevices(const Machine &machine, int64_t devices) {
  Machine result = machine;
  if (!machine.host)
    return result;
  for (DeviceType &device : result.devices)
    share(device, *machine.host, devices);
  double slowdown = std::max(1.0, double(devices) / double(machine.host->cores));
  result.host->cacheBandwidth /= slowdown;
  for (Link &link : result.links) {
    link.latencySeconds *= slowdown;
    link.bandwidth /= slowdown;
  }
  return result;
}

} // namespace mpopt::machine
