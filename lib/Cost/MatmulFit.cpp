#include "mpopt/Cost/Cost.h"
#include "mpopt/Cost/GpuMachine.h"
#include "mpopt/Machine/Calibrate.h"

#include <algorithm>
#include <cmath>

namespace mpopt::cost {

using machine::DType;
using machine::Machine;
using machine::MatmulModel;
using machine::ProductTiming;
using machine::rounded;

namespace {

bool isModelled(const ProductTiming &product) {
  return product.aligned() && !(product.type == DType::F32 && product.exact);
}

std::vector<ProductTiming> modelled(std::span<const ProductTiming> products) {
  std::vector<ProductTiming> result;
  std::copy_if(products.begin(), products.end(), std::back_inserter(result), isModelled);
  return result;
}

/// The constants as coordinates of a search: logarithms of the launch, of efficiency, of smallK + 16, and of the tiles'
/// efficiencies after the first.
class MatmulSearch {
public:
  MatmulSearch(const Machine &start, std::vector<ProductTiming> products)
      : machine(start), products(std::move(products)) {
    double launch = std::log(std::max(device().launchSeconds, 1e-9));
    lowest = {launch, std::log(0.01), std::log(kShift)};
    highest = {launch + 3, 0, std::log(4096 + kShift)};
    lowest.resize(2 + device().matmul.tiles.size(), std::log(0.01));
    highest.resize(lowest.size(), 0);
  }

  ProductConstants best() {
    std::vector<double> least;
    double leastLoss = 0;
    for (double smallK : {0.0, 64.0, 256.0}) {
      std::vector<double> point = {lowest[0] + 0.5, std::log(0.8), std::log(smallK + kShift)};
      point.resize(lowest.size(), std::log(0.9));
      double reached = descend(point);
      if (least.empty() || reached < leastLoss)
        least = point, leastLoss = reached;
    }
    set(least);
    ProductConstants result = {rounded(device().launchSeconds), device().matmul};
    result.matmul.efficiency = rounded(result.matmul.efficiency);
    result.matmul.smallK = rounded(result.matmul.smallK);
    for (machine::Tile &tile : result.matmul.tiles)
      tile.efficiency = rounded(tile.efficiency);
    return result;
  }

private:
  static constexpr double kShift = 16; ///< A search in logarithms must reach a smallK of 0.

  machine::DeviceType &device() { return machine.devices[machine.groups.front().device]; }

  void set(const std::vector<double> &point) {
    MatmulModel &matmul = device().matmul;
    device().launchSeconds = std::exp(point[0]);
    matmul.efficiency = std::exp(point[1]);
    matmul.smallK = std::exp(point[2]) - kShift;
    matmul.tiles[0].efficiency = 1;
    for (size_t i = 1; i < matmul.tiles.size(); ++i)
      matmul.tiles[i].efficiency = std::exp(point[i + 2]);
  }

  double loss(const std::vector<double> &point) {
    set(point);
    double sum = 0;
    for (const ProductTiming &product : products) {
      double error = std::log(coldProductSeconds(machine, product) / product.seconds) / 0.05;
      sum += std::sqrt(1 + error * error);
    }
    return sum;
  }

  /// Steps along each coordinate while that helps, then halves the steps.
  double descend(std::vector<double> &point) {
    double least = loss(point);
    for (double step = 0.4; step > 1e-3;) {
      bool better = false;
      for (size_t i = 0; i < point.size(); ++i)
        for (double direction : {step, -step}) {
          double &coordinate = point[i], before = coordinate;
          coordinate = std::clamp(coordinate + direction, lowest[i], highest[i]);
          double reached = loss(point);
          if (reached < least - 1e-9) {
            least = reached;
            better = true;
            break;
          }
          coordinate = before;
        }
      if (!better)
        step /= 2;
    }
    return least;
  }

  Machine machine;
  std::vector<ProductTiming> products;
  std::vector<double> lowest, highest; ///< Bounds of the coordinates.
};

} // namespace

double coldProductSeconds(const Machine &machine, const ProductTiming &product) {
  double arithmetic = matmulSeconds(machine, product.type, product.batch, product.m, product.n, product.k);
  return launchSeconds(machine, 1) + std::max(arithmetic, product.bytes() / machine.device().memoryBandwidth);
}

ProductErrors productErrors(const Machine &machine, std::span<const ProductTiming> products) {
  std::vector<double> sizes;
  ProductErrors result;
  for (const ProductTiming &product : modelled(products)) {
    double error = coldProductSeconds(machine, product) / product.seconds - 1;
    sizes.push_back(std::abs(error));
    result.mean += std::abs(error);
    result.bias += error;
  }
  if (sizes.empty())
    return result;
  std::sort(sizes.begin(), sizes.end());
  result.products = sizes.size();
  result.mean /= double(sizes.size());
  result.bias /= double(sizes.size());
  result.median = sizes[sizes.size() / 2];
  return result;
}

ProductConstants fitProducts(const Machine &machine, std::span<const ProductTiming> products) {
  std::vector<ProductTiming> used = modelled(products);
  if (used.empty())
    return {machine.device().launchSeconds, machine.device().matmul};
  return MatmulSearch(machine, std::move(used)).best();
}

} // namespace mpopt::cost
