#ifndef MPOPT_RUNTIME_CORE_EXECUTOR_H
#define MPOPT_RUNTIME_CORE_EXECUTOR_H

#include "comm/Communicator.h"
#include "core/Loader.h"
#include "core/Ports.h"
#include "core/Progress.h"
#include "core/Trace.h"

#include <functional>

namespace mpopt::runtime {

/// What a rank's executor works with; all of it outlives the executor.
struct RankContext {
  const LoadedPlan &plan;
  unsigned rank = 0;
  Device &device;
  Communicator &communicator;
  Progress &progress;
  const PortLayout &ports;
  std::byte *host = nullptr; // where the ports' images are
  TraceBuffer trace = {};    // may be empty
  /// Called before each instruction, those of the init list with step Progress::kInit; may be empty; for tests that make a rank fail there.
  std::function<Status(uint64_t step, uint32_t instruction)> beforeInstruction = {};
};

/// One rank's program as a flat list of prepared launches. After create() nothing is allocated.
class Executor {
public:
  /// Places weights, runs the init instructions, prepares every instruction.
  static Result<Executor> create(RankContext context);

  /// Uploads the inputs' images, runs the program, downloads the outputs' images. Returns when all is done.
  Status run(uint64_t step);

private:
  struct Item {
    LaunchPtr launch;
    uint32_t instruction, traceSlot;
    unsigned stream;
    std::vector<unsigned> waits; // events
    int record = -1;             // event
  };

  explicit Executor(RankContext context) : context(std::move(context)) {}
  Status placeBuffers();
  Status placeWeights(std::vector<std::byte *> &places);
  Status runInit();
  Status prepareProgram();
  Status createEvents(std::vector<int> &eventOf);
  Operands operandsOf(const plan::Instruction &instruction, bool constantWeights) const;
  Result<LaunchPtr> prepare(const plan::Instruction &instruction, bool init);
  Status addSendsDone(size_t before, std::span<const uint32_t> sends);
  Status submit(Item &item);
  Status moveImages(const std::vector<std::vector<PortImage>> &ports, bool toDevice);
  std::string where(const plan::Instruction &instruction, size_t index, bool init) const;

  RankContext context;
  std::vector<BufferView> buffers;
  std::vector<Item> program;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_EXECUTOR_H
