#ifndef MPOPT_TOOLS_MPOPT_TRAIN_H
#define MPOPT_TOOLS_MPOPT_TRAIN_H

#include "Arguments.h"
#include "llvm/Support/JSON.h"

namespace mpopt {

/// What `mpopt plan --train` takes besides the options of planning.
struct TrainArguments {
  bool train = false;
  int64_t globalBatch = 0;
  std::string stack = "default", precision = "mixed16";
  CLI::Option *globalBatchOption = nullptr;
};

void addTrainOptions(CLI::App &app, TrainArguments &arguments);

/// Notes in a point of a sweep ({"at", ...}) why it has no plan: "problem", "reason" (memory or other) and "fits".
void addProblem(llvm::json::Object &point, const std::string &problem, bool lacksMemory);

/// Plans a training step of the model as a point of a sweep: predicted_seconds, lower_bound_seconds, throughput, memory_bytes,
/// tflops_per_device, plan; or its problem.
void planTrainPoint(const Arguments &common, const TrainArguments &arguments, llvm::json::Object &point);

/// Plans a training step of the model and prints the account; the exit code. Errors are one line on stderr.
int planTrain(const Arguments &common, const TrainArguments &arguments);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_TRAIN_H
