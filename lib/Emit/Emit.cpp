#include "mpopt/Emit/Emit.h"
#include "Container.h"
#include "PlanBuilder.h"
#include "WeightWriter.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

using namespace mlir;

namespace mpopt::emit {
namespace {

/// A file that is written under another name and takes its own only when it is complete.
class NewFile {
public:
  NewFile(std::string path, Location loc) : path(std::move(path)), temporary(this->path + ".tmp"), loc(loc) {}
  ~NewFile() {
    if (data)
      munmap(data, bytes);
    if (fd >= 0)
      close(fd);
    if (!done)
      unlink(temporary.c_str());
  }

  /// Creates the file with `size` zero bytes, reserved on disk, and maps it.
  FailureOr<char *> create(uint64_t size) {
    bytes = size;
    fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
      return fail("create", errno);
    if (size == 0)
      return static_cast<char *>(nullptr);
    if (int code = posix_fallocate(fd, 0, size))
      return fail("reserve space for", code);
    void *mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
      return fail("map", errno);
    data = mapped;
    return static_cast<char *>(data);
  }

  LogicalResult keep() {
    if (fsync(fd) != 0)
      return fail("write", errno);
    if (rename(temporary.c_str(), path.c_str()) != 0)
      return fail("rename", errno);
    done = true;
    return success();
  }

private:
  LogicalResult fail(StringRef what, int code) {
    return emitError(loc) << "cannot " << what << " '" << path << "': " << std::strerror(code)
                          << "; choose another place with --output";
  }

  std::string path, temporary;
  Location loc;
  int fd = -1;
  void *data = nullptr;
  uint64_t bytes = 0;
  bool done = false;
};

FailureOr<std::pair<rt::ProgramOp, shd::MeshAttr>> getProgram(ModuleOp module) {
  auto programs = llvm::to_vector(module.getOps<rt::ProgramOp>());
  shd::MeshOp mesh = shd::getMesh(module);
  if (programs.size() != 1 || !mesh)
    return module.emitError("a plan needs one rt.program and a shd.mesh");
  return std::make_pair(programs.front(), mesh.getMesh());
}

std::string weightsPath(StringRef planPath) {
  planPath.consume_back(".mpplan");
  return planPath.str() + ".weights.bin";
}

} // namespace

SmallVector<DeviceMemory> getDeviceMemory(ModuleOp module) {
  auto found = getProgram(module);
  if (failed(found))
    return {};
  auto [program, mesh] = *found;
  WeightWriter writer(program, mesh);
  SmallVector<DeviceMemory> result;
  for (const auto &places : writer.places()) {
    DeviceMemory memory{static_cast<int64_t>(program.getWorkBytes()), 0};
    for (const WeightPlace &place : places)
      memory.weights += place.bytes;
    result.push_back(memory);
  }
  return result;
}

LogicalResult emitPlan(ModuleOp module, ArrayRef<char> elf, StringRef account, const EmitOptions &options) {
  auto found = getProgram(module);
  if (failed(found))
    return failure();
  auto [program, mesh] = *found;
  WeightWriter writer(program, mesh);
  SourceFiles sources(options.modelDir);

  NewFile weights(weightsPath(options.output), module.getLoc());
  XXH128_hash_t hash = XXH3_128bits(nullptr, 0);
  if (writer.fileBytes() > 0) {
    FailureOr<char *> image = weights.create(writer.fileBytes());
    if (failed(image) || failed(writer.write(*image, elf, sources)))
      return failure();
    hash = XXH3_128bits(*image, writer.fileBytes());
  }

  std::unique_ptr<plan::PlanT> out = buildPlan(program, mesh, writer);
  out->version = plan::kFormatVersion;
  out->producer = "mpopt";
  out->model = options.model;
  out->target = "cpu";
  out->cpu = options.cpu;
  out->elf.assign(elf.begin(), elf.end());
  out->account = account.str();
  for (auto &rank : out->ranks)
    rank->device = options.machine;
  if (writer.fileBytes() > 0) {
    out->weights_file = llvm::StringRef(weightsPath(options.output)).rsplit('/').second.str();
    if (out->weights_file.empty())
      out->weights_file = weightsPath(options.output);
    out->weights_bytes = writer.fileBytes();
    out->weights_hash_low = hash.low64;
    out->weights_hash_high = hash.high64;
    if (failed(weights.keep()))
      return failure();
  }
  if (Status status = runtime::writePlan(options.output, *out); !status)
    return module.emitError(status.error().message);
  return success();
}

} // namespace mpopt::emit
