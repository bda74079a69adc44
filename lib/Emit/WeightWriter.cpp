#include "WeightWriter.h"
#include "mpopt/Dialect/Coll/Coll.h"

#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>

using namespace mlir;

namespace mpopt::emit {

uint64_t getBytes(rt::BufferOp buffer) {
  RankedTensorType type = buffer.getType().getTensor();
  return type.getNumElements() * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
}

static bool isInit(Operation *op) {
  return TypeSwitch<Operation *, bool>(op)
      .Case<rt::KernelOp, rt::CopyOp>([](auto op) { return op.getInit(); })
      .Default(false);
}

static OperandRange readsOf(Operation *op) {
  if (auto kernel = dyn_cast<rt::KernelOp>(op))
    return kernel.getReads();
  return cast<rt::CopyOp>(op).getReads();
}

static OperandRange writesOf(Operation *op) {
  if (auto kernel = dyn_cast<rt::KernelOp>(op))
    return kernel.getWrites();
  return cast<rt::CopyOp>(op).getWrites();
}

static char *alignUp(char *pointer) {
  return reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(pointer) + 63) / 64 * 64);
}

WeightWriter::WeightWriter(rt::ProgramOp program, shd::MeshAttr mesh, uint64_t firstByte)
    : program(program), mesh(mesh), totalBytes(firstByte) {
  llvm::DenseMap<int64_t, Operation *> latest; // by offset in the arena: who wrote there last; views share the offset
  for (Operation &op : program.getBody().front()) {
    if (!isInit(&op))
      continue;
    for (Value read : readsOf(&op))
      if (auto buffer = read.getDefiningOp<rt::BufferOp>(); buffer.getSpace() == rt::Space::Work)
        workWriters[{&op, read}] = latest.lookup(buffer.getOffset());
    for (Value write : writesOf(&op)) {
      auto buffer = write.getDefiningOp<rt::BufferOp>();
      if (buffer.getSpace() == rt::Space::Weights)
        weightWriters[buffer.getOffset()] = &op;
      else
        latest[buffer.getOffset()] = &op;
    }
  }
  auto isWritten = [&](rt::BufferOp buffer) {
    Operation *writer = weightWriters.lookup(buffer.getOffset());
    return writer && llvm::is_contained(writesOf(writer), buffer.getResult());
  };
  std::map<int64_t, rt::BufferOp> numbered;
  for (auto buffer : program.getBody().front().getOps<rt::BufferOp>())
    if (buffer.getSpace() == rt::Space::Weights)
      if (auto [it, isNew] = numbered.try_emplace(buffer.getOffset(), buffer); !isNew && isWritten(buffer))
        it->second = buffer; // of several views, the one that is written
  for (auto [number, buffer] : numbered) {
    weights.push_back(Weight{buffer, {}, {}});
    trace(weights.back());
  }
  place();
}

/// Finds the instructions that make a weight, in the program's order, which the sharing of the arena relies on, and the axes
/// that they depend on.
void WeightWriter::trace(Weight &weight) {
  llvm::SetVector<StringAttr> axes;
  llvm::SetVector<Operation *> recipe;
  auto visit = [&](auto &visit, Value value, Operation *reader) -> void {
    auto buffer = value.getDefiningOp<rt::BufferOp>();
    if (ArrayAttr indexAxes = buffer.getIndexAxesAttr())
      for (auto axis : indexAxes.getAsRange<StringAttr>())
        axes.insert(axis);
    bool isWeight = buffer.getSpace() == rt::Space::Weights; // views of one weight share its writer
    Operation *writer = isWeight ? weightWriters.lookup(buffer.getOffset()) : workWriters.lookup({reader, value});
    if (!writer || recipe.contains(writer))
      return;
    for (Value operand : readsOf(writer))
      visit(visit, operand, writer);
    recipe.insert(writer);
  };
  visit(visit, weight.buffer, nullptr);
  for (shd::MeshAxisAttr axis : mesh.getAxes())
    if (axes.contains(axis.getName()))
      weight.axes.push_back(axis.getName());
  weight.recipe = recipe.takeVector();
  llvm::sort(weight.recipe, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
}

/// Copies that the same devices read lie side by side, so that what is mapped around a device's own copies, up to huge pages, is its own, too.
void WeightWriter::place() {
  constexpr uint64_t kPage = 4096, kLine = 64;
  int64_t devices = mesh.getNumDevices();
  devicePlaces.assign(devices, std::vector<WeightPlace>(weights.size()));
  std::map<std::vector<int64_t>, std::vector<size_t>> copies; // by the devices that share them
  for (auto [w, weight] : llvm::enumerate(weights)) {
    std::map<int64_t, std::vector<int64_t>> holders; // by place along the weight's axes
    for (int64_t device = 0; device < devices; ++device)
      holders[coll::getPlace(mesh, weight.axes, device)].push_back(device);
    for (auto &[place, sharing] : holders)
      copies[std::move(sharing)].push_back(w);
  }
  for (const auto &[sharing, numbers] : copies)
    for (size_t w : numbers) {
      uint64_t bytes = getBytes(weights[w].buffer), unit = bytes >= kPage ? kPage : kLine;
      uint64_t offset = (totalBytes + unit - 1) / unit * unit;
      totalBytes = offset + bytes;
      for (int64_t device : sharing)
        devicePlaces[device][w] = {offset, bytes};
    }
}

namespace {
/// The kernels, loaded from memory.
class Library {
public:
  LogicalResult load(ArrayRef<char> elf, Location loc) {
    if (elf.empty())
      return success();
    int fd = memfd_create("mpopt-kernels", MFD_CLOEXEC);
    bool ok = fd >= 0 && ::write(fd, elf.data(), elf.size()) == static_cast<ssize_t>(elf.size());
    if (ok)
      handle = dlopen(("/proc/self/fd/" + std::to_string(fd)).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (fd >= 0)
      close(fd);
    if (!handle)
      return emitError(loc) << "cannot load the compiled kernels: " << (ok ? dlerror() : std::strerror(errno));
    return success();
  }
  ~Library() {
    if (handle)
      dlclose(handle);
  }
  void *handle = nullptr;
};
} // namespace

LogicalResult WeightWriter::write(char *image, ArrayRef<char> elf, SourceFiles &files) {
  Library library;
  if (failed(library.load(elf, program.getLoc())))
    return failure();
  arena.resize(program.getInitBytes() + 64);
  for (auto [w, weight] : llvm::enumerate(weights)) {
    llvm::DenseSet<uint64_t> written;
    for (auto [device, places] : llvm::enumerate(devicePlaces))
      if (written.insert(places[w].offset).second)
        if (failed(compute(weight, device, image + places[w].offset, library.handle, files)))
          return failure();
  }
  arena = {};
  return success();
}

/// Contents that need no instruction: a constant, or the device's place.
LogicalResult WeightWriter::fill(rt::BufferOp buffer, int64_t device, char *target) {
  if (ArrayAttr axes = buffer.getIndexAxesAttr()) {
    auto names = llvm::to_vector(axes.getAsRange<StringAttr>());
    int64_t value = coll::getPlace(mesh, names, device) * buffer.getIndexScale().value_or(1);
    std::memcpy(target, &value, sizeof value);
    return success();
  }
  auto dense = dyn_cast_or_null<DenseElementsAttr>(buffer.getValueAttr());
  if (!dense)
    return buffer.emitError("a weights buffer that nothing fills");
  Type element = dense.getElementType();
  uint64_t count = dense.getNumElements(), size = std::max<uint64_t>(1, element.getIntOrFloatBitWidth() / 8);
  if (element.isInteger(1)) {
    for (auto [i, bit] : llvm::enumerate(dense.getValues<bool>()))
      target[i] = bit;
    return success();
  }
  ArrayRef<char> raw = dense.getRawData();
  for (uint64_t i = 0; i < (dense.isSplat() ? count : 1); ++i)
    std::memcpy(target + i * size, raw.data(), dense.isSplat() ? size : raw.size());
  return success();
}

LogicalResult WeightWriter::compute(const Weight &weight, int64_t device, char *target, void *library,
                                    SourceFiles &files) {
  if (weight.recipe.empty())
    return fill(weight.buffer, device, target);
  char *base = alignUp(arena.data());
  uint64_t number = rt::BufferOp(weight.buffer).getOffset();
  std::map<int64_t, std::vector<char>> others; // weights that this one is made from
  auto address = [&](Value value) -> FailureOr<char *> {
    auto buffer = value.getDefiningOp<rt::BufferOp>();
    if (buffer.getSpace() == rt::Space::Work)
      return base + buffer.getOffset();
    if (buffer.getSpace() == rt::Space::Source) {
      FailureOr<const char *> bytes = files.map(*buffer.getSource(), buffer.getLoc());
      return failed(bytes) ? FailureOr<char *>() : FailureOr<char *>(const_cast<char *>(*bytes));
    }
    if (buffer.getOffset() == number)
      return target;
    auto [it, isNew] = others.try_emplace(buffer.getOffset(), std::vector<char>());
    if (isNew) {
      it->second.resize(getBytes(buffer) + 64);
      if (buffer.getIndexAxesAttr() || buffer.getValueAttr())
        if (failed(fill(buffer, device, alignUp(it->second.data()))))
          return failure();
    }
    return alignUp(it->second.data());
  };

  for (Operation *op : weight.recipe) {
    SmallVector<void *> args;
    for (Value operand : op->getOperands()) {
      FailureOr<char *> pointer = address(operand);
      if (failed(pointer))
        return failure();
      args.push_back(*pointer);
    }
    if (auto kernel = dyn_cast<rt::KernelOp>(op)) {
      auto *function = reinterpret_cast<void (*)(void *const *)>(dlsym(library, kernel.getCallee().str().c_str()));
      if (!function)
        return op->emitError("kernel is missing from the compiled library");
      function(args.data());
    } else {
      std::memcpy(args[1], args[0], getBytes(op->getOperand(1).getDefiningOp<rt::BufferOp>()));
    }
  }
  return success();
}

} // namespace mpopt::emit
