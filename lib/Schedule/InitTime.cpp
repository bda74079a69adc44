#include "InitTime.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;

namespace mpopt::schedule {

ProgramTimes classify(func::FuncOp program) {
  ProgramTimes times;
  for (Operation &op : program.getBody().front().without_terminator()) {
    bool leaf = isa<nn::WeightOp, nn::ConstantOp, coll::IndexOp>(op);
    bool init = leaf || (isa<func::CallOp, nn::ReshapeOp>(op) &&
                         llvm::all_of(op.getOperands(), [&](Value v) { return times.initValues.contains(v); }));
    if (init)
      times.initValues.insert(op.result_begin(), op.result_end());
    else if (!isa<nn::ReshapeOp>(op))
      times.runOps.push_back(&op);
  }
  return times;
}

} // namespace mpopt::schedule
