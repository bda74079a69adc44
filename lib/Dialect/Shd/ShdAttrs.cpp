// Text, verifiers and local shapes of meshes and shardings.
#include "mlir/IR/BuiltinOps.h"
#include "mpopt/Dialect/Shd/Blocks.h"
#include "mpopt/Dialect/Shd/Shd.h"
#include "llvm/ADT/SmallSet.h"

using namespace mlir;
using namespace mpopt::shd;

//===----------------------------------------------------------------------===//
// Mesh
//===----------------------------------------------------------------------===//

static bool isPrime(int64_t n) {
  for (int64_t d = 2; d <= n / d; ++d)
    if (n % d == 0)
      return false;
  return n > 1;
}

LogicalResult MeshAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<MeshAxisAttr> axes) {
  llvm::SmallSet<StringRef, 8> names;
  int64_t devices = 1;
  for (MeshAxisAttr axis : axes) {
    if (axis.getName().empty())
      return emitError() << "a mesh axis needs a name";
    if (!names.insert(axis.getName()).second)
      return emitError() << "axis '" << axis.getName().getValue() << "' occurs twice";
    if (axis.getSize() > (int64_t(1) << 31) || !isPrime(axis.getSize()))
      return emitError() << "size " << axis.getSize() << " of axis '" << axis.getName().getValue()
                         << "' is not prime; write several axes";
    if (axis.getLevel() < 0)
      return emitError() << "level of axis '" << axis.getName().getValue() << "' is negative";
    if (llvm::MulOverflow(devices, axis.getSize(), devices) || devices > (int64_t(1) << 31))
      return emitError() << "more than 2^31 devices";
  }
  return success();
}

int64_t MeshAttr::getNumDevices() const {
  int64_t devices = 1;
  for (MeshAxisAttr axis : getAxes())
    devices *= axis.getSize();
  return devices;
}

MeshAxisAttr MeshAttr::find(StringRef name) const {
  int64_t index = indexOf(name);
  return index < 0 ? MeshAxisAttr() : getAxes()[index];
}

int64_t MeshAttr::indexOf(StringRef name) const {
  for (auto [i, axis] : llvm::enumerate(getAxes()))
    if (axis.getName().getValue() == name)
      return static_cast<int64_t>(i);
  return -1;
}

int64_t MeshAttr::sizeOf(ArrayRef<StringAttr> axes) const {
  int64_t size = 1;
  for (StringAttr axis : axes)
    if (MeshAxisAttr found = find(axis.getValue()))
      size *= found.getSize();
  return size;
}

MeshOp mpopt::shd::getMesh(Operation *op) {
  FlatSymbolRefAttr named;
  for (; op && !isa<ModuleOp>(op); op = op->getParentOp())
    if (!named)
      named = op->getAttrOfType<FlatSymbolRefAttr>(kMeshAttr);
  auto module = dyn_cast_or_null<ModuleOp>(op);
  if (!module)
    return nullptr;
  for (MeshOp mesh : module.getOps<MeshOp>())
    if (!named || mesh.getSymNameAttr() == named.getAttr())
      return mesh;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static ParseResult parseAxis(AsmParser &parser, SmallVectorImpl<StringAttr> &axes) {
  std::string name;
  if (parser.parseString(&name))
    return failure();
  axes.push_back(StringAttr::get(parser.getContext(), name));
  return success();
}

static void printAxes(AsmPrinter &printer, ArrayRef<StringAttr> axes) {
  llvm::interleave(axes, printer.getStream(), [&](StringAttr axis) { printer.printString(axis.getValue()); }, ",");
}

static DimShardingAttr parseDim(AsmParser &parser) {
  SmallVector<StringAttr> axes;
  int64_t block = 1;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Braces, [&] { return parseAxis(parser, axes); }) ||
      (succeeded(parser.parseOptionalColon()) && parser.parseInteger(block)))
    return nullptr;
  if (block < 1) {
    parser.emitError(loc, "block must be at least 1");
    return nullptr;
  }
  return DimShardingAttr::get(parser.getContext(), axes, block);
}

static void printDim(AsmPrinter &printer, DimShardingAttr dim) {
  printer << '{';
  printAxes(printer, dim.getAxes());
  printer << '}';
  if (dim.getBlock() != 1)
    printer << ':' << dim.getBlock();
}

Attribute DimShardingAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return nullptr;
  DimShardingAttr dim = parseDim(parser);
  return dim && succeeded(parser.parseGreater()) ? dim : nullptr;
}

void DimShardingAttr::print(AsmPrinter &printer) const {
  printer << '<';
  printDim(printer, *this);
  printer << '>';
}

static ParseResult parseUnreduced(AsmParser &parser, SmallVectorImpl<StringAttr> &axes, ReduceKind &reduce) {
  StringRef kind;
  SMLoc loc;
  if (parser.parseKeyword("unreduced") || parser.parseEqual() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] { return parseAxis(parser, axes); }) ||
      (loc = parser.getCurrentLocation(), parser.parseKeyword(&kind)))
    return failure();
  std::optional<ReduceKind> parsed = symbolizeReduceKind(kind);
  if (!parsed)
    return parser.emitError(loc, "expected sum, max, min or prod");
  reduce = *parsed;
  return success();
}

Attribute ShardingAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  FlatSymbolRefAttr mesh;
  SmallVector<DimShardingAttr> dims;
  SmallVector<StringAttr> unreduced;
  ReduceKind reduce = ReduceKind::Sum;
  auto dim = [&]() -> ParseResult {
    dims.push_back(parseDim(parser));
    return success(dims.back() != nullptr);
  };
  if (parser.parseLess() || parser.parseAttribute(mesh) || parser.parseComma() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, dim))
    return nullptr;
  if (succeeded(parser.parseOptionalComma()) && parseUnreduced(parser, unreduced, reduce))
    return nullptr;
  if (parser.parseGreater())
    return nullptr;
  auto emitError = [&] { return parser.emitError(loc); };
  if (failed(verify(emitError, mesh, dims, unreduced, reduce)))
    return nullptr;
  return get(parser.getContext(), mesh, dims, unreduced, reduce);
}

void ShardingAttr::print(AsmPrinter &printer) const {
  printer << '<';
  printer.printAttributeWithoutType(getMesh());
  printer << ", [";
  llvm::interleaveComma(getDims(), printer.getStream(), [&](DimShardingAttr dim) { printDim(printer, dim); });
  printer << ']';
  if (!getUnreduced().empty()) {
    printer << ", unreduced=[";
    printAxes(printer, getUnreduced());
    printer << "] " << stringifyReduceKind(getReduce());
  }
  printer << '>';
}

//===----------------------------------------------------------------------===//
// Sharding
//===----------------------------------------------------------------------===//

LogicalResult ShardingAttr::verify(function_ref<InFlightDiagnostic()> emitError, FlatSymbolRefAttr,
                                   ArrayRef<DimShardingAttr> dims, ArrayRef<StringAttr> unreduced, ReduceKind) {
  llvm::SmallSet<StringRef, 8> seen;
  auto check = [&](ArrayRef<StringAttr> axes) -> LogicalResult {
    for (StringAttr axis : axes)
      if (!seen.insert(axis.getValue()).second)
        return emitError() << "axis '" << axis.getValue() << "' occurs twice";
    return success();
  };
  for (DimShardingAttr dim : dims)
    if (failed(check(dim.getAxes())))
      return failure();
  return check(unreduced);
}

bool ShardingAttr::isReplicated() const {
  return getUnreduced().empty() && llvm::all_of(getDims(), [](DimShardingAttr dim) { return dim.getAxes().empty(); });
}

ShardingAttr ShardingAttr::replicated(FlatSymbolRefAttr mesh, int64_t rank) {
  SmallVector<DimShardingAttr> dims(rank, DimShardingAttr::get(mesh.getContext(), {}, 1));
  return get(mesh.getContext(), mesh, dims, {}, ReduceKind::Sum);
}

SmallVector<int64_t> ShardingAttr::getLocalShape(ArrayRef<int64_t> shape, MeshAttr mesh) const {
  SmallVector<int64_t> local(shape);
  for (auto [size, dim] : llvm::zip(local, getDims()))
    size = localSize(size, dim.getBlock(), mesh.sizeOf(dim.getAxes()));
  return local;
}

RankedTensorType ShardingAttr::getLocalType(RankedTensorType type, MeshAttr mesh) const {
  return type.clone(getLocalShape(type.getShape(), mesh));
}

ShardingAttr ShardingAttr::canonical(ArrayRef<int64_t> shape, MeshAttr mesh) const {
  SmallVector<DimShardingAttr> dims;
  for (auto [size, dim] : llvm::zip(shape, getDims())) {
    int64_t block = smallestBlock(size, dim.getBlock(), mesh.sizeOf(dim.getAxes()));
    dims.push_back(block == dim.getBlock() ? dim : DimShardingAttr::get(getContext(), dim.getAxes(), block));
  }
  SmallVector<StringAttr> unreduced(getUnreduced());
  llvm::sort(unreduced, [&](StringAttr a, StringAttr b) { return mesh.indexOf(a) < mesh.indexOf(b); });
  return get(getContext(), getMesh(), dims, unreduced, unreduced.empty() ? ReduceKind::Sum : getReduce());
}
