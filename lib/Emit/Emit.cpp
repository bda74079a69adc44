#include "mpopt/Emit/Emit.h"
#include "Container.h"
#include "Messages.h"
#include "PlanBuilder.h"
#include "WeightWriter.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "llvm/Support/Path.h"

#include <csignal>
#include <optional>
#include <set>
#include <xxhash.h>

using namespace mlir;

namespace mpopt::emit {
namespace {

/// While it lives, this thread is not interrupted by Ctrl-C or a request to end: two files then take their places both or not at all.
class Uninterrupted {
public:
  Uninterrupted() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, &before);
  }
  ~Uninterrupted() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  Uninterrupted(const Uninterrupted &) = delete;
  Uninterrupted &operator=(const Uninterrupted &) = delete;

private:
  sigset_t before;
};

struct Programs {
  SmallVector<StagePlan> stages;
  uint64_t weightBytes = 0;
};

/// The programs of all stages, with places for their weights one after the other.
FailureOr<Programs> getPrograms(ModuleOp module) {
  auto ops = module.getOps<rt::ProgramOp>();
  if (!llvm::all_of(ops, [](rt::ProgramOp op) { return shd::getMesh(op); }) ||
      std::distance(ops.begin(), ops.end()) != shd::getStages(module))
    return module.emitError("a plan needs one rt.program per stage and a shd.mesh");
  constexpr uint64_t kPage = 4096;
  Programs programs;
  for (rt::ProgramOp op : ops) {
    uint64_t begin = (programs.weightBytes + kPage - 1) / kPage * kPage;
    shd::MeshAttr mesh = shd::getMesh(op).getMesh();
    auto writer = std::make_unique<WeightWriter>(op, mesh, begin);
    if (writer->fileBytes() > begin)
      programs.weightBytes = writer->fileBytes();
    programs.stages.push_back({op, mesh, std::move(writer)});
  }
  return programs;
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
  FailureOr<Programs> programs = getPrograms(module);
  if (failed(programs))
    return {};
  SmallVector<DeviceMemory> result;
  for (const StagePlan &stage : programs->stages)
    for (const auto &places : stage.weights->places()) {
      DeviceMemory memory{static_cast<int64_t>(rt::ProgramOp(stage.program).getWorkBytes()), 0};
      for (const WeightPlace &place : places)
        memory.weights += place.bytes;
      result.push_back(memory);
    }
  return result;
}

/// No rank of the plan may wait forever. The compiler makes no other plans; this is the proof for each.
static LogicalResult proveProgress(ModuleOp module, const plan::PlanT &plan) {
  flatbuffers::FlatBufferBuilder builder;
  plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &plan));
  if (Status status = runtime::verifyProgress(*plan::GetPlan(builder.GetBufferPointer())); !status)
    return module.emitError() << "the plan would not come to an end: " << status.error().message;
  return success();
}

LogicalResult emitPlan(ModuleOp module, ArrayRef<char> elf, StringRef account, const EmitOptions &options) {
  FailureOr<Programs> programs = getPrograms(module);
  if (failed(programs))
    return failure();
  std::unique_ptr<plan::PlanT> out = buildPlan(programs->stages);
  out->streams = options.streams;
  if (failed(proveProgress(module, *out)))
    return failure();
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
  if (uint64_t bytes = programs->weightBytes) {
    auto created = runtime::OutputFile::create(weightsFile);
    auto image = created ? created->map(bytes) : tl::unexpected(created.error());
    if (!image)
      return refuse(image.error());
    weights = std::move(*created);
    for (StagePlan &stage : programs->stages)
      if (failed(stage.weights->write(*image, elf, sources)))
        return failure();
    hash = XXH3_128bits(*image, bytes);
  }

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
    out->weights_bytes = programs->weightBytes;
    out->weights_hash_low = hash.low64;
    out->weights_hash_high = hash.high64;
  }
  runtime::writePlan(*file, *out);
  // Both are complete on disk before either takes its place.
  Status status = weights ? weights->finish() : Status();
  if (status)
    status = file->finish();
  Uninterrupted both;
  if (status && weights)
    status = weights->commit();
  if (status)
    status = file->commit();
  return status ? success() : LogicalResult(refuse(status.error()));
}

} // namespace mpopt::emit
