#ifndef MPOPT_TEST_FUZZ_CONTEXT_H
#define MPOPT_TEST_FUZZ_CONTEXT_H

#include "mlir/IR/MLIRContext.h"

namespace mpopt::fuzz {

/// Loads what planned and partitioned programs are made of.
void loadDialects(mlir::MLIRContext &context);

} // namespace mpopt::fuzz

#endif // MPOPT_TEST_FUZZ_CONTEXT_H
