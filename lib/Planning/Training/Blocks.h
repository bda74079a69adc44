#ifndef MPOPT_LIB_PLANNING_TRAINING_BLOCKS_H
#define MPOPT_LIB_PLANNING_TRAINING_BLOCKS_H

#include "Chain.h"
#include "mpopt/Search/Stages.h"

namespace mpopt::planning {

/// Operators [begin, end) of a chain, between two places at which only one value lives.
struct Block {
  size_t begin = 0, end = 0;
  int kind = 0; ///< Equal blocks have equal kinds.
};

/// Cuts the graph wherever only one run-time value lives.
std::vector<Block> cutBlocks(const Chain &chain);

/// Equal blocks in a row.
std::vector<search::LayerRun> runsOf(llvm::ArrayRef<Block> blocks);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_TRAINING_BLOCKS_H
