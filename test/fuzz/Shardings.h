#ifndef MPOPT_TEST_FUZZ_SHARDINGS_H
#define MPOPT_TEST_FUZZ_SHARDINGS_H

#include "ProgramMaker.h"
#include "mpopt/Dialect/Shd/PartitionRule.h"

namespace mpopt::fuzz {

/// A mesh of axes "a", "b", .. of the given prime sizes, declared in the module.
shd::MeshAttr addMesh(mlir::ModuleOp module, llvm::ArrayRef<int64_t> sizes);
/// One of [2], [3], [2,2], [2,3], [2,2,2].
llvm::SmallVector<int64_t> randomMesh(Random &random);

/// Annotates everything with shardings drawn at random from the operators' rules, partial sums included.
void shardAtRandom(Program &program, shd::MeshAttr mesh, Random &random);
/// Annotates everything as replicated.
void replicate(Program &program, shd::MeshAttr mesh);
/// Writes what follows from a strategy onto one operation; failure when the strategy cannot be expressed.
mlir::LogicalResult apply(mlir::Operation *op, const shd::FactorSharding &strategy, shd::MeshAttr mesh);
/// Gives the inputs that an operation reads the shardings that it wants, so that padding reaches it as it came.
void shardInputsAs(mlir::Operation *op);
/// Makes one operation, argument or result replicated; false when it was already.
bool replicateOp(mlir::Operation *op, shd::MeshAttr mesh);
bool replicateArg(mlir::func::FuncOp main, unsigned i);
bool replicateResult(mlir::func::FuncOp main, unsigned i);

} // namespace mpopt::fuzz

#endif // MPOPT_TEST_FUZZ_SHARDINGS_H
