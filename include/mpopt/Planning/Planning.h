#ifndef MPOPT_PLANNING_PLANNING_H
#define MPOPT_PLANNING_PLANNING_H

#include "mlir/IR/BuiltinOps.h"
#include "mpopt/Dialect/Shd/Reshard.h"
#include "mpopt/Planning/Options.h"
#include <functional>

namespace mpopt::planning {

/// What was decided for one operator.
struct OpReport {
  std::string node;     ///< Name of the ONNX node.
  std::string op;       ///< "nn.matmul".
  std::string sharding; ///< Operands -> results, "[x0, -] [-, x1] -> [x0, x1]".
  double computeSeconds = 0;
  double commSeconds =
      0; ///< Collectives inside the operator, and resharding of its operands that no earlier operator pays for.
  std::string runnerUp;       ///< The next best sharding of this operator; empty when there is no other.
  double runnerUpSeconds = 0; ///< How much more the step would take with it, all else as it is.
};

struct PlanReport {
  double predictedSeconds = 0;  ///< One step.
  double lowerBoundSeconds = 0; ///< No plan takes less, by the same cost model.
  int64_t memoryBytes = 0;      ///< Most that one device holds at a time.
  int64_t weightBytes = 0;      ///< Of that, weights and other values computed once.
  std::vector<OpReport> ops;    ///< In the order of the program.
};

/// Chooses a sharding for every value of @main and writes it down: adds `shd.mesh @mesh`, `shd.in` and `shd.out` on every operator, and
/// `shd.sharding` on the arguments and results. Changes nothing else; an earlier plan is replaced. The same module and options
/// give the same attributes. Emits an error where no plan exists: a strategy, pin or memory limit that cannot be met, or devices that the
/// machine lacks.
llvm::LogicalResult planModule(mlir::ModuleOp module, const PlanOptions &options, PlanReport &report);

/// Seconds of a reshard step over the mesh of a plan with these options, as the plan was priced; empty where there is no such mesh.
std::function<double(const shd::ReshardStep &step, double bytesIn, double bytesOut, shd::MeshAttr mesh)>
makeStepPrice(mlir::MLIRContext *context, const PlanOptions &options);

/// The report as a table for people: one line per operator, and its runner-up.
std::string formatReport(const PlanReport &report);

} // namespace mpopt::planning

#endif // MPOPT_PLANNING_PLANNING_H
