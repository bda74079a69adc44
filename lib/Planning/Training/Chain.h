#ifndef MPOPT_LIB_PLANNING_TRAINING_CHAIN_H
#define MPOPT_LIB_PLANNING_TRAINING_CHAIN_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Support/Repeats.h"

namespace mpopt::planning {

/// The operators of @main that work at run time, in order; what is computed from weights and constants alone belongs to its users.
class Chain {
public:
  explicit Chain(mlir::func::FuncOp main);

  llvm::ArrayRef<mlir::Operation *> operators() const { return ops; }
  bool isRunTime(mlir::Value value) const { return runTime.contains(value); }

  /// The weights that an operator reads, directly or through others of init time.
  llvm::SmallVector<nn::WeightOp> weightsOf(mlir::Operation *op) const;

  /// Elements of the distinct weights of operators [begin, end).
  double parameters(size_t begin, size_t end) const;

  /// Stretches that repeat; each has an operator with weights.
  std::vector<Repeat> repeats() const;

  /// Names of the ONNX nodes of operators [begin, end), as far as they have any.
  std::vector<std::string> names(size_t begin, size_t end) const;

  /// Numbers of the operators: equal ones on equal types, with equal attributes, have the same.
  std::vector<uint64_t> signatures() const;

private:
  std::vector<mlir::Operation *> ops;
  llvm::DenseSet<mlir::Value> runTime;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_TRAINING_CHAIN_H
