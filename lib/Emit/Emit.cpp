#include "mpopt/Emit/Emit.h"
#include "Container.h"
#include "PlanBuilder.h"
#include "WeightWriter.h"
#include "llvm/Support/Path.h"

#include <optional>
#include <set>
#include <xxhash.h>

using namespace mlir;

namespace mpopt::emit {
namespace {

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

/// Nothing of the model may be overwritten.
static LogicalResult checkOutputs(ModuleOp module, const EmitOptions &options) {
  std::set<std::string> inputs = {options.model};
  module.walk([&](rt::BufferOp buffer) {
    if (auto source = buffer.getSource())
      inputs.insert(source->getFile().str());
  });
  for (const std::string &input : inputs)
    for (const std::string &output : {options.output, weightsPath(options.output)}) {
      std::string path = options.modelDir.empty() ? input : options.modelDir + "/" + input;
      if (runtime::sameFile(path, output))
        return module.emitError() << "'" << output << "' would overwrite '" << path
                                  << "', which the model is read from; choose another name with --output";
    }
  return success();
}

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

  std::string weightsFile = weightsPath(options.output);
  auto refuse = [&](const Error &why) { return module.emitError(why.message + " with --output"); };
  if (failed(checkOutputs(module, options)))
    return failure();
  auto file = runtime::OutputFile::create(options.output);
  if (!file)
    return refuse(file.error());
  if (!file->isRegular())
    return module.emitError() << "cannot write '" << options.output
                              << "': it is no regular file; choose another place with --output";
  std::optional<runtime::OutputFile> weights;
  XXH128_hash_t hash = XXH3_128bits(nullptr, 0);
  if (uint64_t bytes = writer.fileBytes()) {
    auto created = runtime::OutputFile::create(weightsFile);
    auto image = created ? created->map(bytes) : tl::unexpected(created.error());
    if (!image)
      return refuse(image.error());
    weights = std::move(*created);
    if (failed(writer.write(*image, elf, sources)))
      return failure();
    hash = XXH3_128bits(*image, bytes);
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
  if (weights) {
    out->weights_file = llvm::sys::path::filename(weightsFile).str();
    out->weights_bytes = writer.fileBytes();
    out->weights_hash_low = hash.low64;
    out->weights_hash_high = hash.high64;
  }
  runtime::writePlan(*file, *out);
  // Both are complete on disk before either takes its place.
  Status status = weights ? weights->finish() : Status();
  if (status)
    status = file->finish();
  if (status && weights)
    status = weights->commit();
  if (status)
    status = file->commit();
  return status ? success() : LogicalResult(refuse(status.error()));
}

} // namespace mpopt::emit
