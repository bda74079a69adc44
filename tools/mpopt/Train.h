#ifndef MPOPT_TOOLS_MPOPT_TRAIN_H
#define MPOPT_TOOLS_MPOPT_TRAIN_H

#include "Arguments.h"

namespace mpopt {

/// What `mpopt plan --train` takes besides the options of planning.
struct TrainArguments {
  bool train = false;
  int64_t globalBatch = 0;
  std::string stack = "default", precision = "mixed16";
  CLI::Option *globalBatchOption = nullptr;
};

void addTrainOptions(CLI::App &app, TrainArguments &arguments);

/// Plans a training step of the model and prints the account; the exit code. Errors are one line on stderr.
int planTrain(const Arguments &common, const TrainArguments &arguments);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_TRAIN_H
