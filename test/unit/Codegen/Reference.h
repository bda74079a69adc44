#ifndef MPOPT_TEST_UNIT_CODEGEN_REFERENCE_H
#define MPOPT_TEST_UNIT_CODEGEN_REFERENCE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <vector>

namespace mpopt::test {

/// A tensor of doubles, row-major; integers and booleans are exact up to 2^53.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<double> data;

  int64_t size() const {
    int64_t n = 1;
    for (int64_t d : shape)
      n *= d;
    return n;
  }
};

/// Runs a function of nn operators, operator by operator, by their definitions: loops over elements in double precision.
std::vector<Tensor> interpret(mlir::func::FuncOp function, const std::vector<Tensor> &arguments);

} // namespace mpopt::test

#endif // MPOPT_TEST_UNIT_CODEGEN_REFERENCE_H
