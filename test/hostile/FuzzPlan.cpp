// Any bytes as the FlatBuffer of a plan whose trailer has the right hash: refused with a message, or a plan that runs, fails or is given
// up without leaving its memory. What compiled kernels do is their compiler's word, so plans with kernels are only loaded.
#include "Input.h"
#include "PlanMutator.h"
#include "core/Loader.h"
#include "core/Npy.h"
#include "launch/Session.h"
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <xxhash.h>

using namespace mpopt;
using namespace mpopt::runtime;
using hostile::expect;

/// A folder with the weights that the seeds name; it goes when the fuzzer ends.
static const std::string &folder() {
  static const struct Folder {
    std::string path = "plan." + std::to_string(getpid());
    Folder() {
      std::filesystem::create_directory(path);
      std::ofstream(path + "/weights.bin", std::ios::binary) << hostile::seedWeights();
    }
    ~Folder() { std::filesystem::remove_all(path); }
  } made;
  return made.path;
}

/// Whether a plan is small enough to be run some thousand times.
static bool isSmall(const LoadedPlan &plan) {
  if (plan.numRanks() > 8 || items(plan.plan().kernels()).size() > 0)
    return false;
  uint64_t bytes = 0, instructions = 0;
  for (size_t rank = 0; rank < plan.numRanks(); ++rank) {
    const plan::Program &program = plan.programOf(rank);
    bytes = std::max({bytes, program.work_bytes(), plan.weightBytes(rank)});
    instructions += items(program.instructions()).size() + items(program.init()).size();
  }
  for (auto ports : {items(plan.plan().inputs()), items(plan.plan().outputs())})
    for (const plan::Port *port : ports)
      bytes = std::max(bytes, *elementCount(numbers(port->shape())) * sizeOf(port->dtype()));
  return bytes <= 1 << 20 && instructions <= 100;
}

static void run(const LoadedPlan &plan) {
  RunOptions options;
  options.timeoutSeconds = 0.2; // sends and receives that wait for each other are given up
  auto session = Session::create(plan, options);
  if (!session)
    return expect(!session.error().message.empty(), "a refusal says why");
  for (size_t i = 0; i < items(plan.plan().inputs()).size(); ++i) {
    const plan::Port &port = *items(plan.plan().inputs())[i];
    auto shape = numbers(port.shape());
    Tensor tensor{port.dtype(), {shape.begin(), shape.end()}, {}};
    tensor.data.resize(*elementCount(shape) * sizeOf(port.dtype()), std::byte(1));
    Status set = session->setInput(i, tensor);
    expect(set.has_value(), "a tensor of a port's shape and type is taken");
  }
  if (Status status = session->run(); !status)
    return expect(!status.error().message.empty(), "a failure says why");
  for (size_t i = 0; i < items(plan.plan().outputs()).size(); ++i)
    (void)session->output(i);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  XXH128_hash_t hash = XXH3_128bits(data, size);
  Trailer trailer{{'M', 'P', 'O', 'P', 'T', 'P', 'L', 'N'}, size, hash.low64, hash.high64};
  std::string path = folder() + "/fuzzed.mpplan";
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char *>(data), static_cast<std::streamsize>(size))
      .write(reinterpret_cast<const char *>(&trailer), sizeof trailer);
  auto plan = LoadedPlan::open(path);
  if (!plan)
    expect(!plan.error().message.empty(), "a refusal says why");
  else if (isSmall(*plan) && hash.low64 % 4 == 0) // running takes many times as long as checking
    run(*plan);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  if (seed % 4 == 0)
    return LLVMFuzzerMutate(data, size, maxSize);
  return hostile::mutatePlan(data, size, maxSize, seed);
}
