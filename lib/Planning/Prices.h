#ifndef MPOPT_LIB_PLANNING_PRICES_H
#define MPOPT_LIB_PLANNING_PRICES_H

#include "FusedAxes.h"
#include "Mesh.h"
#include "ReshardTable.h"
#include "mpopt/Cost/Cost.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include "mpopt/Dialect/Shd/Reshard.h"

namespace mpopt::planning {

/// Bytes of the weights that the steps of a function read, each counted once.
double weightBytesOf(mlir::func::FuncOp main);

/// Seconds of what a plan does, by lib/Cost on one machine. Shardings are known by small numbers, given in order of first use.
class Prices {
public:
  /// `machine` as forDevices returned it; `weightBytes`: of all weights that its devices read in a step, each counted once.
  Prices(const machine::Machine &machine, const PlanMesh &mesh, double weightBytes)
      : machine(machine), mesh(mesh), held(cost::heldShare(machine, weightBytes)) {}

  unsigned intern(shd::ShardingAttr sharding);
  shd::ShardingAttr sharding(unsigned id) const { return shardings[id]; }
  llvm::SmallVector<shd::ShardingAttr> all(llvm::ArrayRef<unsigned> ids) const;

  /// Bytes of a value of `type` on one device.
  int64_t localBytes(unsigned sharding, mlir::RankedTensorType type) const;
  /// Making one sharding of a value into another; kForbidden where there is no way.
  double reshard(unsigned from, unsigned to, mlir::RankedTensorType type);
  /// What `op` with the shardings `in` and `out` (see intern()) costs besides communication, given its work on one device: less of it where it is
  /// computed together with its neighbours.
  cost::OpCost costOf(mlir::Operation *op, const shd::OpWork &work, llvm::ArrayRef<unsigned> in,
                      llvm::ArrayRef<unsigned> out) const;
  double compute(const cost::OpCost &op) const { return cost::opSeconds(machine, op); }
  /// The parts of that, and what of the shorter one is not hidden behind the longer.
  cost::OpTimes times(const cost::OpCost &op) const { return cost::opTimes(machine, op); }
  double exposed(const cost::OpTimes &times) const { return cost::exposedSeconds(machine, times); }
  /// The collectives inside an operator.
  double internalComm(const shd::OpWork &work, const shd::PartitionRule &rule,
                      const shd::FactorSharding &strategy) const;
  /// Bytes of the buffers that these need for themselves.
  static int64_t internalRoom(const shd::OpWork &work, const shd::PartitionRule &rule,
                              const shd::FactorSharding &strategy);
  /// One step of a reshard.
  double step(const shd::ReshardStep &step, double bytesIn, double bytesOut) const {
    return this->step(step.kind, indices(step.axes), bytesIn, bytesOut);
  }
  /// The same over axes of a mesh that stands for the plan's.
  double step(const machine::Mesh &own, shd::ReshardStep::Kind kind, llvm::ArrayRef<int> axes, double bytesIn,
              double bytesOut) const;

private:
  double step(shd::ReshardStep::Kind kind, llvm::ArrayRef<int> axes, double bytesIn, double bytesOut) const {
    return step(mesh.mesh, kind, axes, bytesIn, bytesOut);
  }
  double searchReshard(unsigned from, unsigned to, mlir::RankedTensorType type) const;
  unsigned renamingOf(unsigned id);
  PlainSharding renamed(unsigned id, unsigned renaming) const;
  double findReshard(unsigned from, unsigned to, mlir::RankedTensorType type);
  unsigned renamedId(unsigned id, unsigned renaming);
  double reshardFused(unsigned from, unsigned to, mlir::RankedTensorType type);
  double reshardByTable(unsigned from, unsigned to, mlir::RankedTensorType type);
  double findFused(unsigned from, unsigned to, mlir::RankedTensorType type);
  double throughLevels(unsigned from, unsigned to, mlir::RankedTensorType type);
  ReshardTable &fusedTable(const AxisRuns &runs, mlir::RankedTensorType type);
  llvm::SmallVector<int> indices(llvm::ArrayRef<mlir::StringAttr> axes) const;

  const machine::Machine &machine;
  const PlanMesh &mesh;
  double held; // share of the weights that the host's cache holds
  std::vector<shd::ShardingAttr> shardings;
  std::vector<PlainSharding> plains; ///< The same.
  llvm::DenseMap<shd::ShardingAttr, unsigned> ids;
  using Renaming = llvm::SmallVector<int, 16>; ///< The new number of each mesh axis.
  llvm::SmallVector<Renaming> renamings;
  std::vector<int> renamingIds; ///< By sharding; -1 where not known yet.
  struct Numbered {
    ReshardTable table;
    std::vector<std::vector<int>> numbers; ///< By renaming and sharding.

    int numberOf(const Prices &prices, unsigned id, unsigned renaming);
  };
  std::map<const void *, Numbered> tables; ///< By type; looked up only.
  using Pairs = llvm::DenseMap<std::pair<unsigned, unsigned>, double>;
  llvm::DenseMap<mlir::Type, Pairs> reshards;
  llvm::DenseMap<mlir::Type, Pairs> searched; ///< What tables did not know, by renamed pairs.
  std::vector<std::vector<int>> renamedIds;   ///< By renaming and sharding; -1 where not known yet.
  /// Shardings of whole link levels, and prices of the ways to them and from them, by sharding.
  struct Levels {
    std::vector<unsigned> ids;
    std::vector<std::vector<double>> to, from;
  };
  llvm::DenseMap<mlir::Type, Levels> levels;
  std::map<AxisRuns, PlanMesh> fusedMeshes;                              ///< Looked up only.
  std::map<std::pair<const void *, AxisRuns>, ReshardTable> fusedTables; ///< By type; looked up only.
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_PRICES_H
