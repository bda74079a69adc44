#ifndef MPOPT_LIB_PLANNING_STAGEDPROGRAM_H
#define MPOPT_LIB_PLANNING_STAGEDPROGRAM_H

#include "Cuts.h"
#include "Model.h"
#include "Transfer.h"
#include "mpopt/Planning/Planning.h"

namespace mpopt::planning {

/// An operator of @main as the stages see it.
struct StagedOp {
  mlir::Operation *op;
  const OpReport *report;
  const Option *option;
  bool floats = false; ///< Computed by every stage that uses it.
  int64_t place = -1;  ///< Among those that do not float.

  double seconds() const { return report->computeSeconds + report->commSeconds; }
};

/// A planned @main as a chain that can be cut into stages.
///
/// Operators that are cheaper to compute than their results are to send, and depend on the model's inputs alone, float: they belong to no stage,
/// and each stage that uses them computes them (masks, mostly).
class StagedProgram {
public:
  /// `report` as makeReport left it. All must outlive the program.
  StagedProgram(const Model &model, const search::Solution &solution, Prices &prices, const Transfer &transfer,
                const PlanReport &report);

  std::vector<StagedOp> ops;
  Chain chain; ///< Of those that do not float; after place().

  /// The operator that makes a value; null for an init-time one.
  const StagedOp *find(mlir::Operation *op) const;
  int64_t bytesOf(const StagedOp &op, unsigned result) const;

  /// Whether each operator may float.
  std::vector<bool> findFloating() const;
  /// Numbers those that do not float; where these are fewer than `stages`, none floats.
  void place(const std::vector<bool> &floats, int64_t stages);

  /// The cuts that pins ask for; between the last operator that is pinned to one stage and the first that is to the next, where least crosses.
  /// Nothing where the pins make no `stages` runs of operators.
  std::optional<std::vector<size_t>> pinnedCuts(llvm::ArrayRef<StagePin> pins, int64_t stages) const;

private:
  size_t leastCrossing(int64_t first, int64_t last) const;
  int64_t lastUse(mlir::Value value) const;
  void makeChain();

  Prices &prices;
  const Transfer &transfer;
  llvm::DenseMap<mlir::Operation *, size_t> index;
};

/// Says that the stages that annotations ask for are ignored; `stages` as the strategy has them: "2", "4+2".
void warnOfStagePins(mlir::func::FuncOp main, const std::string &stages);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_STAGEDPROGRAM_H
