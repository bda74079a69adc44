#include "mpopt/Cost/Cost.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mpopt::cost {

using machine::DeviceType;
using machine::DType;
using machine::Machine;

double matmulSeconds(const Machine &machine, DType type, int64_t batch, int64_t m, int64_t n, int64_t k) {
  if (batch <= 0 || m <= 0 || n <= 0 || k <= 0)
    return 0;
  const DeviceType &device = machine.device();
  const machine::MatmulModel &model = device.matmul;
  double units = double(model.units);
  double best = std::numeric_limits<double>::infinity();
  for (const machine::Tile &tile : model.tiles) {
    double tiles = double(batch) * std::ceil(double(m) / double(tile.m)) * std::ceil(double(n) / double(tile.n));
    double flops = std::ceil(tiles / units) * units * double(tile.m) * double(tile.n) * 2 * (double(k) + model.smallK);
    best = std::min(best, flops / (device.peakFlops(type) * model.efficiency * tile.efficiency));
  }
  return best;
}

double memorySeconds(const Machine &machine, double bytes) {
  const DeviceType &device = machine.device();
  double cached = std::min(bytes, double(device.cacheBytes));
  double seconds = (bytes - cached) / device.memoryBandwidth;
  // A rank's share of a busy host's memory can never make the cache slower than
  // memory.
  return cached > 0 ? seconds + cached / std::max(device.cacheBandwidth, device.memoryBandwidth) : seconds;
}

double heldShare(const Machine &machine, double weightBytes) {
  if (!machine.host || weightBytes <= 0)
    return 0;
  return std::min(1.0, double(machine.host->cacheBytes) / weightBytes);
}

double launchSeconds(const Machine &machine, int64_t launches) {
  return double(launches) * machine.device().launchSeconds;
}

OpTimes opTimes(const Machine &machine, const OpCost &op) {
  double arithmetic = op.vectorFlops / machine.device().vectorFlops;
  for (const Matmul &matmul : op.matmuls)
    arithmetic += matmulSeconds(machine, matmul.type, matmul.batch, matmul.m, matmul.n, matmul.k) /
                  (matmul.isAttention ? machine.device().matmul.attention : 1);
  double memory = machine.device().memoryBandwidth;
  double shared = machine.host ? std::max(memory, machine.host->cacheBandwidth) : memory;
  double traffic = op.bytesCold / memory + op.bytesShared / shared +
                   memorySeconds(machine, op.bytesRead + op.bytesWritten - op.bytesCold - op.bytesShared);
  return {launchSeconds(machine, op.launches), arithmetic, traffic};
}

double exposedSeconds(const Machine &machine, const OpTimes &times) {
  return (1 - machine.device().overlap) * std::min(times.arithmetic, times.traffic);
}

double opSeconds(const Machine &machine, const OpCost &op) {
  OpTimes times = opTimes(machine, op);
  return times.launch + std::max(times.arithmetic, times.traffic) + exposedSeconds(machine, times);
}

} // namespace mpopt::cost
