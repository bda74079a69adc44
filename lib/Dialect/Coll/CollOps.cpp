#include "mpopt/Dialect/Coll/Coll.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::coll;

namespace {

/// Digits of a device's number, major to minor.
SmallVector<int64_t> digitsOf(shd::MeshAttr mesh, int64_t device) {
  SmallVector<int64_t> digits(mesh.getAxes().size());
  for (int64_t i = digits.size() - 1; i >= 0; --i) {
    digits[i] = device % mesh.getAxes()[i].getSize();
    device /= mesh.getAxes()[i].getSize();
  }
  return digits;
}

SmallVector<StringAttr> namesOf(ArrayAttr axes) { return llvm::to_vector(axes.getAsRange<StringAttr>()); }

/// c1: the axes are known and distinct.
LogicalResult verifyAxes(Operation *op, ArrayAttr axes, shd::MeshAttr &mesh) {
  shd::MeshOp meshOp = shd::getMesh(op);
  mesh = meshOp ? meshOp.getMesh() : shd::MeshAttr();
  SmallVector<StringRef> seen;
  for (StringAttr axis : namesOf(axes)) {
    if (mesh && !mesh.find(axis.getValue()))
      return op->emitOpError("names axis '") << axis.getValue() << "', which the mesh does not have (c1)";
    if (llvm::is_contained(seen, axis.getValue()))
      return op->emitOpError("names axis '") << axis.getValue() << "' twice (c1)";
    seen.push_back(axis.getValue());
  }
  return success();
}

/// c2: element types agree, and shapes except along the dimensions listed.
LogicalResult verifyShapes(Operation *op, ArrayRef<int64_t> changed) {
  auto in = cast<RankedTensorType>(op->getOperand(0).getType()),
       out = cast<RankedTensorType>(op->getResult(0).getType());
  if (in.getElementType() != out.getElementType() || in.getRank() != out.getRank())
    return op->emitOpError("changes the element type or the rank (c2)");
  for (int64_t dim : changed)
    if (dim < 0 || dim >= in.getRank())
      return op->emitOpError("has no dimension ") << dim << " (c2)";
  for (int64_t d = 0; d < in.getRank(); ++d)
    if (!llvm::is_contained(changed, d) && in.getDimSize(d) != out.getDimSize(d))
      return op->emitOpError("changes dimension ") << d << " (c2)";
  return success();
}

int64_t sizeIn(Operation *op, int64_t dim) {
  return cast<RankedTensorType>(op->getOperand(0).getType()).getDimSize(dim);
}
int64_t sizeOut(Operation *op, int64_t dim) {
  return cast<RankedTensorType>(op->getResult(0).getType()).getDimSize(dim);
}

/// c3: `whole` elements over k devices are blocks of `part`. Blocks may be larger than the least that holds them all, where
/// splits count in units of several elements.
LogicalResult verifySplit(Operation *op, int64_t whole, int64_t part, int64_t k) {
  if (part * k < whole)
    return op->emitOpError("has ") << k << " blocks of " << part << " elements, too few for " << whole << " (c3)";
  return success();
}

} // namespace

SmallVector<SmallVector<int64_t>> coll::getGroups(shd::MeshAttr mesh, ArrayRef<StringAttr> axes) {
  std::map<SmallVector<int64_t>, SmallVector<int64_t>> groups; // digits of the other axes -> devices
  int64_t size = mesh.sizeOf(axes);
  for (int64_t device = 0, count = mesh.getNumDevices(); device < count; ++device) {
    SmallVector<int64_t> key = digitsOf(mesh, device);
    for (StringAttr axis : axes)
      key[mesh.indexOf(axis)] = 0;
    auto &group = groups[key];
    group.resize(size);
    group[getPlace(mesh, axes, device)] = device;
  }
  SmallVector<SmallVector<int64_t>> result;
  for (auto &[key, group] : groups)
    result.push_back(group);
  return result;
}

int64_t coll::getPlace(shd::MeshAttr mesh, ArrayRef<StringAttr> axes, int64_t device) {
  SmallVector<int64_t> digits = digitsOf(mesh, device);
  int64_t place = 0;
  for (StringAttr axis : axes) {
    int64_t index = mesh.indexOf(axis);
    place = place * mesh.getAxes()[index].getSize() + digits[index];
  }
  return place;
}

LogicalResult AllReduceOp::verify() {
  shd::MeshAttr mesh;
  return verifyAxes(*this, getAxes(), mesh);
}

LogicalResult AllGatherOp::verify() {
  shd::MeshAttr mesh;
  int64_t dim = getDim();
  if (failed(verifyAxes(*this, getAxes(), mesh)) || failed(verifyShapes(*this, dim)))
    return failure();
  return mesh ? verifySplit(*this, sizeOut(*this, dim), sizeIn(*this, dim), mesh.sizeOf(namesOf(getAxes())))
              : success();
}

LogicalResult ReduceScatterOp::verify() {
  shd::MeshAttr mesh;
  int64_t dim = getDim();
  if (failed(verifyAxes(*this, getAxes(), mesh)) || failed(verifyShapes(*this, dim)))
    return failure();
  return mesh ? verifySplit(*this, sizeIn(*this, dim), sizeOut(*this, dim), mesh.sizeOf(namesOf(getAxes())))
              : success();
}

LogicalResult AllToAllOp::verify() {
  shd::MeshAttr mesh;
  int64_t split = getSplitDim(), concat = getConcatDim();
  if (failed(verifyAxes(*this, getAxes(), mesh)) || failed(verifyShapes(*this, {split, concat})))
    return failure();
  if (split == concat)
    return emitOpError("splits and concatenates the same dimension (c3)");
  if (!mesh)
    return success();
  int64_t k = mesh.sizeOf(namesOf(getAxes()));
  return success(succeeded(verifySplit(*this, sizeIn(*this, split), sizeOut(*this, split), k)) &&
                 succeeded(verifySplit(*this, sizeOut(*this, concat), sizeIn(*this, concat), k)));
}

/// c2: rows of one element type and width, named by rows of i64; c3: the larger side has the rows of all devices.
template <typename Op> static LogicalResult verifyRouting(Op op, Value all, Value own) {
  auto whole = cast<RankedTensorType>(all.getType()), part = cast<RankedTensorType>(own.getType());
  shd::MeshAttr mesh;
  if (failed(verifyAxes(op, op.getAxes(), mesh)) || failed(verifyShapes(op, 0)))
    return failure();
  auto indices = cast<RankedTensorType>(op.getIndices().getType());
  if (whole.getRank() != 2 || indices.getRank() != 2 || !indices.getElementType().isInteger(64))
    return op.emitOpError("takes rows, and rows of i64 that name their experts (c2)");
  if (static_cast<int64_t>(op.getExperts()) < 1)
    return op.emitOpError("needs an expert on each device (c3)");
  if (indices.getDimSize(0) != whole.getDimSize(0) ||
      (mesh && whole.getDimSize(0) != part.getDimSize(0) * mesh.sizeOf(namesOf(op.getAxes()))))
    return op.emitOpError("needs the rows of all devices of the group, and experts for each (c3)");
  return success();
}

LogicalResult DispatchOp::verify() { return verifyRouting(*this, getResult(), getInput()); }
LogicalResult CombineOp::verify() { return verifyRouting(*this, getInput(), getResult()); }

double coll::getRoutedShare(int64_t experts, int64_t local, int64_t chosen) {
  double none = 1;
  for (int64_t i = 0; i < std::min(chosen, experts); ++i)
    none *= std::max(0.0, static_cast<double>(experts - local - i)) / static_cast<double>(experts - i);
  return 1 - none;
}

LogicalResult PermuteOp::verify() {
  shd::MeshAttr mesh;
  if (failed(verifyAxes(*this, getAxes(), mesh)))
    return failure();
  SmallVector<int64_t> sorted(getSources());
  llvm::sort(sorted);
  for (auto [i, source] : llvm::enumerate(sorted))
    if (source != static_cast<int64_t>(i))
      return emitOpError("sources are no permutation (c3)");
  if (mesh && mesh.sizeOf(namesOf(getAxes())) != static_cast<int64_t>(sorted.size()))
    return emitOpError("needs one source for each device of the group (c3)");
  return success();
}

LogicalResult HaloOp::verify() {
  shd::MeshAttr mesh;
  int64_t dim = getDim();
  if (failed(verifyAxes(*this, getAxes(), mesh)) || failed(verifyShapes(*this, dim)))
    return failure();
  int64_t low = getLow(), high = getHigh();
  if (low < 0 || high < 0 || sizeOut(*this, dim) != sizeIn(*this, dim) + low + high)
    return emitOpError("result must be the input with `low` elements before and `high` after (c3)");
  return success();
}

LogicalResult SliceOp::verify() {
  shd::MeshAttr mesh;
  int64_t dim = getDim();
  if (failed(verifyAxes(*this, getAxes(), mesh)) || failed(verifyShapes(*this, dim)))
    return failure();
  return mesh ? verifySplit(*this, sizeIn(*this, dim), sizeOut(*this, dim), mesh.sizeOf(namesOf(getAxes())))
              : success();
}

LogicalResult MaskPadOp::verify() {
  shd::MeshAttr mesh;
  if (failed(verifyAxes(*this, getAxes(), mesh)))
    return failure();
  if (static_cast<int64_t>(getDim()) >= cast<RankedTensorType>(getType()).getRank() ||
      static_cast<int64_t>(getSize()) < 0)
    return emitOpError("has no such dimension, or a negative size (c2)");
  return success();
}

LogicalResult KeepFirstOp::verify() {
  shd::MeshAttr mesh;
  return verifyAxes(*this, getAxes(), mesh);
}

LogicalResult IndexOp::verify() {
  shd::MeshAttr mesh;
  if (failed(verifyAxes(*this, getAxes(), mesh)))
    return failure();
  auto type = cast<RankedTensorType>(getType());
  if (type.getRank() != 0 || !type.getElementType().isInteger(64))
    return emitOpError("result must be a scalar i64 (c2)");
  return success();
}

template <typename Op> static LogicalResult verifyMessage(Op op) {
  if (static_cast<int64_t>(op.getDistance()) < 1)
    return op.emitOpError("must be for a later stage from an earlier one (c1)");
  if (static_cast<int64_t>(op.getTag()) < 0)
    return op.emitOpError("tag must not be negative (c2)");
  auto global = op.getGlobal() ? dyn_cast<RankedTensorType>(*op.getGlobal()) : RankedTensorType();
  if (op.getGlobal().has_value() != op.getSharding().has_value() ||
      (op.getSharding() && (!global || !op.getSharding()->getUnreduced().empty() ||
                            global.getRank() != static_cast<int64_t>(op.getSharding()->getDims().size()))))
    return op.emitOpError("needs the whole value's type and a sharding of it that is not partial, or neither (c3)");
  return success();
}

LogicalResult SendOp::verify() { return verifyMessage(*this); }
LogicalResult RecvOp::verify() { return verifyMessage(*this); }
