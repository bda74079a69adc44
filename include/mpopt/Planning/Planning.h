#ifndef MPOPT_PLANNING_PLANNING_H
#define MPOPT_PLANNING_PLANNING_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
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
  double arithmeticSeconds = 0; ///< Of that, what arithmetic limits;
  double trafficSeconds = 0;    ///< what memory traffic limits;
  double launchSeconds = 0;     ///< starting kernels.
  double commSeconds =
      0; ///< Collectives inside the operator, and resharding of its operands that no earlier operator pays for.
  std::string runnerUp;       ///< The next best sharding of this operator; empty when there is no other.
  double runnerUpSeconds = 0; ///< How much more the step would take with it, all else as it is.
};

/// What is known of the next best decision: that there is none, that it was not looked for (a very large problem), that no better one exists,
/// or the best that was found.
enum class RunnerUp { None, Skipped, Exact, Found };

/// How one operator that matters (a matrix product, attention, a convolution, an embedding) is spread.
struct LayoutReport {
  std::string node, op;
  std::string words; ///< "column-parallel x4".
  double computeSeconds = 0, commSeconds = 0;
  RunnerUp runnerUpState = RunnerUp::Skipped;
  std::string runnerUp; ///< The best other words, when in every copy of the block the operator is spread otherwise.
  /// How much more the step would take with it, everything else chosen anew; less than 0 where the plan is not the best one.
  double runnerUpSeconds = 0;
};

/// Operators of no great interest that are spread in the same words.
struct OtherLayout {
  std::string words;
  int64_t operators = 0;
  double seconds = 0;
};

/// A stretch of the model, or a layer that occurs `count` times. Times and bytes are those of one copy, on one device.
struct BlockReport {
  std::string name, lastName; ///< Of the first copy and, where there are several, of the last.
  int64_t count = 1, operators = 0;
  int64_t first = 0; ///< Place of the first operator of the first copy in PlanReport::ops.
  double computeSeconds = 0, commSeconds = 0;
  int64_t weightBytes = 0;
  int64_t peakBytes = 0; ///< Most run-time memory at a time while the block runs, whatever it belongs to.
  std::vector<LayoutReport> layouts;
  std::vector<OtherLayout> others;
  std::vector<std::string> nodes; ///< Of all copies, in the order of the program.
};

/// A stage of a pipeline. Times and bytes are those of one microbatch, on one device.
struct StageReport {
  int64_t devices = 1;
  std::string device;      ///< Its device type.
  std::string first, last; ///< Nodes of its first and its last operator.
  int64_t operators = 0;
  double computeSeconds = 0, commSeconds = 0;
  double transferSeconds = 0; ///< To take what earlier stages send.
  int64_t sentBytes = 0, receivedBytes = 0;
  int64_t weightBytes = 0;
  int64_t liveBytes = 0; ///< Most run-time memory at a time.

  double seconds() const { return computeSeconds + commSeconds + transferSeconds; }
};

struct PlanReport {
  double predictedSeconds = 0; ///< One step; with the objective throughput, from the end of one to the end of the next.
  double passSeconds = 0;      ///< One microbatch from end to end; a step where there are none.
  int64_t microbatches = 1;
  std::vector<StageReport> stages; ///< Of a pipeline; else empty.
  double lowerBoundSeconds = 0;    ///< No plan takes less, by the same cost model.
  int64_t memoryBytes = 0;         ///< Most that one device holds at a time.
  int64_t weightBytes = 0;         ///< Of that, weights and other values computed once.
  bool lacksMemory = false;  ///< Where there is no plan: whether it is the devices' memory that all of them exceed.
  std::vector<OpReport> ops; ///< In the order of the program.
  std::vector<BlockReport> blocks; ///< The same by blocks; only with PlanOptions::explain.
};

/// Chooses a sharding for every value of @main and writes it down: adds `shd.mesh @mesh`, `shd.in` and `shd.out` on every operator, and
/// `shd.sharding` on the arguments and results. Changes nothing else; an earlier plan is replaced. The same module and options
/// give the same attributes. Emits an error where no plan exists: a strategy, pin or memory limit that cannot be met, or devices that the
/// machine lacks. A strategy with stages also marks operators with `shd.stage`. @main has the shapes of one microbatch by now; their
/// number enters the report alone.
llvm::LogicalResult planModule(mlir::ModuleOp module, const PlanOptions &options, PlanReport &report);

/// Whether the strategy's stages are of different sizes or lie in several groups of the machine, so that each has a mesh of its own.
bool haveOwnMeshes(const PlanOptions &options);

/// What the ranks of each stage of a pipeline see of the machine: the group that the stage lies in, where stages of so many devices, in that order, fill
/// one group after the other. Nothing where one would lie in two.
std::optional<std::vector<machine::Machine>> machinesOfStages(const machine::Machine &machine, int64_t devices,
                                                              llvm::ArrayRef<int64_t> sizes);

/// Cuts @main into stages that have meshes of their own. Sizes, where the strategy does not give them, and the number of stages, of at least
/// `minStages` and at most `maxStages`, are chosen together with the cuts (search::solveStages), from layouts of the whole model on each size of mesh,
/// by the strategy's roles. Stage pins hold where the sizes are given and the stages that they make fit into memory; else they are ignored, with a warning.
/// Marks operators with `shd.stage` and the module with `shd.stages` and `shd.stage_devices`. To be split into functions then
/// (partition::createSplitStages), each of which planModule lays out. Returns the devices of each stage; emits an error where there are no
/// such stages.
mlir::FailureOr<std::vector<int64_t>> cutIntoStages(mlir::ModuleOp module, const PlanOptions &options,
                                                    int64_t minStages, int64_t maxStages);

/// Seconds of a reshard step over a mesh of a plan with these options, as the plan was priced. The machine need not outlive it.
std::function<double(const shd::ReshardStep &step, double bytesIn, double bytesOut, shd::MeshAttr mesh)>
makeStepPrice(const PlanOptions &options);

/// A sharding in the form of accounts, without the mesh's name: "[{x0}:64,{}] partial over x1".
std::string shardingText(shd::ShardingAttr sharding);

/// The axes of a mesh in the form of accounts: "x0=2,x1=2".
std::string meshText(shd::MeshAttr mesh);
/// The mesh of a planned module, or those of its stages where each has its own: "x0=2,x1=2|x0=3|1".
std::string meshText(mlir::ModuleOp planned);

/// The functions of a planned module that hold operators: @main, or its stages in order.
llvm::SmallVector<mlir::func::FuncOp> getPlannedFunctions(mlir::ModuleOp planned);

/// The report as a table for people: one line per operator, and its runner-up.
std::string formatReport(const PlanReport &report);

} // namespace mpopt::planning

#endif // MPOPT_PLANNING_PLANNING_H
