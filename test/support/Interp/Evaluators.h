#ifndef MPOPT_TEST_SUPPORT_INTERP_EVALUATORS_H
#define MPOPT_TEST_SUPPORT_INTERP_EVALUATORS_H

#include "Tensor.h"
#include "mpopt/Dialect/NN/NN.h"
#include "llvm/ADT/StringMap.h"
#include <functional>

namespace mpopt::interp {

using Operands = llvm::ArrayRef<const Tensor *>;
using Results = llvm::MutableArrayRef<Tensor>;

/// How each `nn` operator computes: results come in as zeros of the operation's result types.
class Evaluators {
public:
  using Function = std::function<void(mlir::Operation *, Operands, Results)>;

  /// `function(op, operands, results)`.
  template <typename Op, typename F> void add(F function) {
    table[Op::getOperationName()] = [function](mlir::Operation *op, Operands in, Results out) {
      function(llvm::cast<Op>(op), in, out);
    };
  }
  const Function *find(llvm::StringRef name) const {
    auto found = table.find(name);
    return found == table.end() ? nullptr : &found->second;
  }

private:
  llvm::StringMap<Function> table;
};

void addElementwise(Evaluators &to);
void addMoves(Evaluators &to);
void addReductions(Evaluators &to);
void addProducts(Evaluators &to);
void addNorms(Evaluators &to);
void addWindows(Evaluators &to);

} // namespace mpopt::interp

#endif // MPOPT_TEST_SUPPORT_INTERP_EVALUATORS_H
