#ifndef MPOPT_LIB_PLANNING_PRICES_H
#define MPOPT_LIB_PLANNING_PRICES_H

#include "Mesh.h"
#include "ReshardTable.h"
#include "mpopt/Cost/Cost.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include "mpopt/Dialect/Shd/Reshard.h"

namespace mpopt::planning {

/// Seconds of what a plan does, by lib/Cost on one machine. Shardings are known by small numbers, given in order of first use.
class Prices {
public:
  /// `machine` as forDevices returned it.
  Prices(const machine::Machine &machine, const PlanMesh &mesh) : machine(machine), mesh(mesh) {}

  unsigned intern(shd::ShardingAttr sharding);
  shd::ShardingAttr sharding(unsigned id) const { return shardings[id]; }
  llvm::SmallVector<shd::ShardingAttr> all(llvm::ArrayRef<unsigned> ids) const;

  /// Bytes of a value of `type` on one device.
  int64_t localBytes(unsigned sharding, mlir::RankedTensorType type) const;
  /// Making one sharding of a value into another; kForbidden where there is no way.
  double reshard(unsigned from, unsigned to, mlir::RankedTensorType type);
  /// Computing, without communication; `element` is the type of numbers that matrix products work on.
  double compute(const shd::OpWork &work, mlir::Type element) const;
  /// The parts of that.
  cost::OpTimes times(const shd::OpWork &work, mlir::Type element) const;
  /// The collectives inside an operator.
  double internalComm(const shd::OpWork &work, const shd::FactorSharding &strategy) const;
  /// One step of a reshard.
  double step(const shd::ReshardStep &step, double bytesIn, double bytesOut) const {
    return this->step(step.kind, indices(step.axes), bytesIn, bytesOut);
  }

private:
  cost::OpCost costOf(const shd::OpWork &work, mlir::Type element) const;
  double step(shd::ReshardStep::Kind kind, llvm::ArrayRef<int> axes, double bytesIn, double bytesOut) const;
  double searchReshard(unsigned from, unsigned to, mlir::RankedTensorType type) const;
  unsigned renamingOf(unsigned id);
  PlainSharding renamed(unsigned id, unsigned renaming) const;
  double findReshard(unsigned from, unsigned to, mlir::RankedTensorType type);
  llvm::SmallVector<int> indices(llvm::ArrayRef<mlir::StringAttr> axes) const;

  const machine::Machine &machine;
  const PlanMesh &mesh;
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
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_PRICES_H
