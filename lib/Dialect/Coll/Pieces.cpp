#include "mpopt/Dialect/Coll/Coll.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::coll;

namespace {

using Box = std::pair<SmallVector<int64_t>, SmallVector<int64_t>>; // start, size

/// What two boxes have in common, as a piece of both; nothing where that is empty.
std::optional<Piece> intersect(const Box &from, const Box &to) {
  Piece piece;
  for (size_t dim = 0; dim < from.first.size(); ++dim) {
    int64_t start = std::max(from.first[dim], to.first[dim]);
    int64_t end = std::min(from.first[dim] + from.second[dim], to.first[dim] + to.second[dim]);
    if (start >= end)
      return std::nullopt;
    piece.source.push_back(start - from.first[dim]);
    piece.target.push_back(start - to.first[dim]);
    piece.size.push_back(end - start);
  }
  return piece;
}

} // namespace

Box coll::getBox(RankedTensorType global, Spread spread, int64_t device) {
  Box box;
  SmallVector<int64_t> local = spread.sharding.getLocalShape(global.getShape(), spread.mesh);
  for (auto [dim, split] : llvm::enumerate(spread.sharding.getDims())) {
    int64_t size = global.getDimSize(dim);
    int64_t start = std::min(size, getPlace(spread.mesh, split.getAxes(), device) * local[dim]);
    box.first.push_back(start);
    box.second.push_back(std::min(local[dim], size - start));
  }
  return box;
}

SmallVector<Piece> coll::getPieces(RankedTensorType global, Spread from, Spread to) {
  std::map<Box, SmallVector<int64_t>> holders; // devices by what they hold; boxes are equal or apart
  for (int64_t device = 0; device < from.mesh.getNumDevices(); ++device)
    holders[getBox(global, from, device)].push_back(device);
  SmallVector<Piece> pieces;
  for (int64_t device = 0; device < to.mesh.getNumDevices(); ++device) {
    Box wanted = getBox(global, to, device);
    for (const auto &[held, devices] : holders)
      if (auto piece = intersect(held, wanted)) {
        piece->from = devices[device % devices.size()];
        piece->to = device;
        pieces.push_back(std::move(*piece));
      }
  }
  return pieces;
}
