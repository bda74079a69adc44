#ifndef MPOPT_TEST_FUZZ_FACTORS_H
#define MPOPT_TEST_FUZZ_FACTORS_H

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace mpopt::fuzz {

/// What forceFactors has done.
struct FactorCounts {
  int64_t runs = 0;    ///< Partitioned programs run and compared.
  int64_t routes = 0;  ///< Of these, those that route tokens to experts.
  int64_t factors = 0; ///< Factors, over all instances, that may be split.
  int64_t split = 0;   ///< Of these, those that some strategy did split.
};

/// For one operator, `instances` programs around it of random and mostly uneven sizes; for each, strategies that are read off its rule: every
/// factor and every linear set alone over meshes of 2, 3, 2x2, 2x3 and 2x2x2 devices, and in larger blocks than one where it then is
/// uneven; on meshes of several axes also every pair, one over the first axis and the other over the rest; tokens and experts over shared axes.
/// Inputs come once whole and once sharded as the operator wants them. Empty when all partitioned programs compute what the whole ones do,
/// else a report.
std::string forceFactors(mlir::MLIRContext *context, llvm::StringRef name, int64_t instances, FactorCounts &counts);

} // namespace mpopt::fuzz

#endif // MPOPT_TEST_FUZZ_FACTORS_H
