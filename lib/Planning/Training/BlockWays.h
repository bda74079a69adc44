#ifndef MPOPT_LIB_PLANNING_TRAINING_BLOCKWAYS_H
#define MPOPT_LIB_PLANNING_TRAINING_BLOCKWAYS_H

#include "Blocks.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"
#include "mpopt/Planning/Training.h"
#include "mpopt/Search/GraphPlanner.h"

namespace mpopt::planning {

/// On how many devices of a stage a block runs, for how many samples, and how many the imported graph has.
struct BlockLoad {
  int64_t devices = 1;
  int64_t samples = 1;
  int64_t baseSamples = 1;
};

/// The ways to run one block. A block of one operator with weights is split
///   over the batch: every device has all weights, whose gradients are summed once a step;
///   by columns: every device has its part of the outputs, and reads all inputs; the gradients of the inputs are summed;
///   by rows: every device has its part of the inputs; the outputs are summed (Krizhevsky 2014; Shoeybi et al. 2019);
/// each with the traffic that brings the states before and after it into what it needs. Other blocks are split over the batch or computed by
/// all devices; those that work on each channel apart, also over channels.
class BlockWays {
public:
  BlockWays(const Chain &chain, const Block &block, const WorkPrices &prices, BlockLoad load);

  search::BlockTable table() const;
  double inputBytes() const; ///< Of all samples.
  double forwardFlops() const;

private:
  enum class Split { Batch, Columns, Rows, Channels, None };

  llvm::ArrayRef<mlir::Operation *> operators() const {
    return chain.operators().slice(block.begin, block.end - block.begin);
  }
  double bytes(mlir::Value value) const;
  double typeScale(mlir::Value value) const;
  std::optional<unsigned> splitFactor(mlir::Operation *op, const shd::PartitionRule &rule, Split split) const;
  bool canSplit(Split split) const;
  llvm::SmallVector<int64_t> localSizes(mlir::Operation *op, const shd::PartitionRule &rule, Split split) const;
  cost::PartWork workOf(mlir::Operation *op, Split split) const;
  search::BlockWay compute(Split split, llvm::StringRef words) const;
  void addWeighted(search::BlockTable &table) const;
  void addOthers(search::BlockTable &table) const;
  void add(search::BlockTable &table, search::BlockState before, search::BlockState after, search::BlockWay way,
           double forward = 0, double backward = 0, double keptBytes = 0) const;

  double gather(double bytes) const; ///< Or scatter.
  double reduce(double bytes) const;
  double exchange(double bytes) const;

  const Chain &chain;
  const Block &block;
  const WorkPrices &prices;
  BlockLoad load;
  mlir::Value input, output;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_TRAINING_BLOCKWAYS_H
